#include "textflag.h"

// func spawn(trap, a0, a1, a2 uintptr, s *slot) (pid, errno uintptr)
//
// See spawn_linux_amd64.s. The kernel keeps all registers but R0.
TEXT ·spawn(SB),NOSPLIT,$0-56
	MOVD	trap+0(FP), R8
	MOVD	a0+8(FP), R0
	MOVD	a1+16(FP), R1
	MOVD	a2+24(FP), R2
	MOVD	ZR, R3
	MOVD	ZR, R4
	MOVD	s+32(FP), R10
	SVC
	CBZ	R0, child
	CMN	$4095, R0
	BCC	parent
	NEG	R0, R0
	MOVD	ZR, pid+40(FP)
	MOVD	R0, errno+48(FP)
	RET
parent:
	MOVD	R0, pid+40(FP)
	MOVD	ZR, errno+48(FP)
	RET
child:
	MOVD	ZR, R29
	MOVD	R10, 8(RSP)
	MOVD	$·run(SB), R1
	BL	(R1)
	BRK	$0
