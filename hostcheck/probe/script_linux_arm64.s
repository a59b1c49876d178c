#include "textflag.h"

// As for amd64: the child must not touch the stack. A system call keeps all
// registers but R0.

// func vfork(flags uintptr, steps **step, n uintptr) (pid int64)
TEXT ·vfork(SB),NOSPLIT|NOFRAME,$0-32
	MOVD	flags+0(FP), R0
	MOVD	steps+8(FP), R9
	MOVD	n+16(FP), R10
	MOVD	$0, R1		// stack: the parent's
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$220, R8	// clone
	SVC
	CBZ	R0, child
	MOVD	R0, pid+24(FP)
	RET
child:
	CBZ	R10, exit
	SUB	$1, R10
	MOVD	(R9), R11	// the step
	ADD	$8, R9
	MOVD	0(R11), R8	// nr
	MOVD	8(R11), R0	// args
	MOVD	16(R11), R1
	MOVD	24(R11), R2
	MOVD	32(R11), R3
	MOVD	40(R11), R4
	MOVD	48(R11), R5
	MOVD	56(R11), R12	// fd
	CBZ	R12, call
	MOVD	(R12), R0
call:
	SVC
	MOVD	R0, 72(R11)	// ret
	MOVD	$1, R13
	MOVD	R13, 80(R11)	// taken
	TBZ	$63, R0, child
	MOVD	64(R11), R12	// skip
	CMP	R10, R12
	BHS	exit		// all that are left
	SUB	R12, R10
	ADD	R12<<3, R9
	B	child
exit:
	MOVD	$0, R0
	MOVD	$93, R8		// exit
	SVC
	BRK	$1
