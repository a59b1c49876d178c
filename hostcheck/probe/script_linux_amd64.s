#include "textflag.h"

// The child shares the stack of its parent, which sleeps until the child is
// gone (CLONE_VFORK): it must not push, call or return. A system call keeps
// all registers but AX, CX and R11.

// func vfork(flags uintptr, steps **step, n uintptr) (pid int64)
TEXT ·vfork(SB),NOSPLIT,$0-32
	MOVQ	flags+0(FP), DI
	MOVQ	steps+8(FP), R12
	MOVQ	n+16(FP), R13
	XORL	SI, SI		// stack: the parent's
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	MOVL	$56, AX		// clone
	SYSCALL
	TESTQ	AX, AX
	JZ	child
	MOVQ	AX, pid+24(FP)
	RET
child:
	TESTQ	R13, R13
	JZ	exit
	DECQ	R13
	MOVQ	(R12), BX	// the step
	ADDQ	$8, R12
	MOVQ	0(BX), AX	// nr
	MOVQ	8(BX), DI	// args
	MOVQ	16(BX), SI
	MOVQ	24(BX), DX
	MOVQ	32(BX), R10
	MOVQ	40(BX), R8
	MOVQ	48(BX), R9
	MOVQ	56(BX), R15	// fd
	TESTQ	R15, R15
	JZ	call
	MOVQ	(R15), DI
call:
	SYSCALL
	MOVQ	AX, 72(BX)	// ret
	MOVQ	$1, 80(BX)	// taken
	TESTQ	AX, AX
	JGE	child
	MOVQ	64(BX), R15	// skip
	CMPQ	R15, R13
	JCC	exit		// all that are left
	SUBQ	R15, R13
	LEAQ	(R12)(R15*8), R12
	JMP	child
exit:
	XORL	DI, DI
	MOVL	$60, AX		// exit: of this thread alone, which is the whole child
	SYSCALL
	INT	$3
