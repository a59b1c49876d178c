#include "textflag.h"

// func spawn(trap, a0, a1, a2 uintptr, s *slot) (pid, errno uintptr)
//
// The child starts on the stack that the system call's arguments name, which
// leaves room above its top for run's argument; it never returns. The parent
// comes back here on its own stack, which the child has not touched. run is
// called through a register: it calls spawn itself, on yet another stack, which
// the linker would take for a stack without end.
TEXT ·spawn(SB),NOSPLIT,$0-56
	MOVQ	trap+0(FP), AX
	MOVQ	a0+8(FP), DI
	MOVQ	a1+16(FP), SI
	MOVQ	a2+24(FP), DX
	XORL	R10, R10
	XORL	R8, R8
	MOVQ	s+32(FP), R12
	SYSCALL
	TESTQ	AX, AX
	JEQ	child
	CMPQ	AX, $0xfffffffffffff001
	JCS	parent
	NEGQ	AX
	MOVQ	$0, pid+40(FP)
	MOVQ	AX, errno+48(FP)
	RET
parent:
	MOVQ	AX, pid+40(FP)
	MOVQ	$0, errno+48(FP)
	RET
child:
	XORL	BP, BP
	MOVQ	R12, 0(SP)
	MOVQ	$·run(SB), AX
	CALL	AX
	INT	$3
