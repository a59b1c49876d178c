#include "textflag.h"

// Each kernel takes n in blocks of 8 elements, one cache line of each array,
// and then what is left one by one. SSE2, which every amd64 has, is enough:
// the loops wait for memory, and reach what gcc -O2 makes of them. Stores are
// ordinary ones, as that compiler's are (but for copy, which it makes a call
// of memcpy): non-temporal stores would spare the read of each line that is
// overwritten, which STREAM does not count, and the figures could not be set
// beside those of others.
//
// MULPD and ADDPD round as MULSD and ADDSD do, and nothing is fused, so the
// result is that of the Go loops bit for bit.

// func copyKernel(c, a []float64)
TEXT ·copyKernel(SB), NOSPLIT, $0-48
	MOVQ c_base+0(FP), DI
	MOVQ a_base+24(FP), SI
	MOVQ c_len+8(FP), CX
	XORQ AX, AX
	MOVQ CX, DX
	ANDQ $~7, DX
	JZ   rest

block:
	MOVUPD (SI)(AX*8), X0
	MOVUPD 16(SI)(AX*8), X1
	MOVUPD 32(SI)(AX*8), X2
	MOVUPD 48(SI)(AX*8), X3
	MOVUPD X0, (DI)(AX*8)
	MOVUPD X1, 16(DI)(AX*8)
	MOVUPD X2, 32(DI)(AX*8)
	MOVUPD X3, 48(DI)(AX*8)
	ADDQ   $8, AX
	CMPQ   AX, DX
	JLT    block

rest:
	CMPQ  AX, CX
	JGE   done
	MOVSD (SI)(AX*8), X0
	MOVSD X0, (DI)(AX*8)
	INCQ  AX
	JMP   rest

done:
	RET

// func scaleKernel(b, c []float64, s float64)
TEXT ·scaleKernel(SB), NOSPLIT, $0-56
	MOVQ     b_base+0(FP), DI
	MOVQ     c_base+24(FP), SI
	MOVQ     b_len+8(FP), CX
	MOVSD    s+48(FP), X15
	UNPCKLPD X15, X15
	XORQ     AX, AX
	MOVQ     CX, DX
	ANDQ     $~7, DX
	JZ       rest

block:
	MOVUPD (SI)(AX*8), X0
	MOVUPD 16(SI)(AX*8), X1
	MOVUPD 32(SI)(AX*8), X2
	MOVUPD 48(SI)(AX*8), X3
	MULPD  X15, X0
	MULPD  X15, X1
	MULPD  X15, X2
	MULPD  X15, X3
	MOVUPD X0, (DI)(AX*8)
	MOVUPD X1, 16(DI)(AX*8)
	MOVUPD X2, 32(DI)(AX*8)
	MOVUPD X3, 48(DI)(AX*8)
	ADDQ   $8, AX
	CMPQ   AX, DX
	JLT    block

rest:
	CMPQ  AX, CX
	JGE   done
	MOVSD (SI)(AX*8), X0
	MULSD X15, X0
	MOVSD X0, (DI)(AX*8)
	INCQ  AX
	JMP   rest

done:
	RET

// func addKernel(c, a, b []float64)
TEXT ·addKernel(SB), NOSPLIT, $0-72
	MOVQ c_base+0(FP), DI
	MOVQ a_base+24(FP), SI
	MOVQ b_base+48(FP), BX
	MOVQ c_len+8(FP), CX
	XORQ AX, AX
	MOVQ CX, DX
	ANDQ $~7, DX
	JZ   rest

block:
	MOVUPD (SI)(AX*8), X0
	MOVUPD 16(SI)(AX*8), X1
	MOVUPD 32(SI)(AX*8), X2
	MOVUPD 48(SI)(AX*8), X3
	MOVUPD (BX)(AX*8), X4
	MOVUPD 16(BX)(AX*8), X5
	MOVUPD 32(BX)(AX*8), X6
	MOVUPD 48(BX)(AX*8), X7
	ADDPD  X4, X0
	ADDPD  X5, X1
	ADDPD  X6, X2
	ADDPD  X7, X3
	MOVUPD X0, (DI)(AX*8)
	MOVUPD X1, 16(DI)(AX*8)
	MOVUPD X2, 32(DI)(AX*8)
	MOVUPD X3, 48(DI)(AX*8)
	ADDQ   $8, AX
	CMPQ   AX, DX
	JLT    block

rest:
	CMPQ  AX, CX
	JGE   done
	MOVSD (SI)(AX*8), X0
	ADDSD (BX)(AX*8), X0
	MOVSD X0, (DI)(AX*8)
	INCQ  AX
	JMP   rest

done:
	RET

// func triadKernel(a, b, c []float64, s float64)
TEXT ·triadKernel(SB), NOSPLIT, $0-80
	MOVQ     a_base+0(FP), DI
	MOVQ     b_base+24(FP), SI
	MOVQ     c_base+48(FP), BX
	MOVQ     a_len+8(FP), CX
	MOVSD    s+72(FP), X15
	UNPCKLPD X15, X15
	XORQ     AX, AX
	MOVQ     CX, DX
	ANDQ     $~7, DX
	JZ       rest

block:
	MOVUPD (BX)(AX*8), X0
	MOVUPD 16(BX)(AX*8), X1
	MOVUPD 32(BX)(AX*8), X2
	MOVUPD 48(BX)(AX*8), X3
	MOVUPD (SI)(AX*8), X4
	MOVUPD 16(SI)(AX*8), X5
	MOVUPD 32(SI)(AX*8), X6
	MOVUPD 48(SI)(AX*8), X7
	MULPD  X15, X0
	MULPD  X15, X1
	MULPD  X15, X2
	MULPD  X15, X3
	ADDPD  X4, X0
	ADDPD  X5, X1
	ADDPD  X6, X2
	ADDPD  X7, X3
	MOVUPD X0, (DI)(AX*8)
	MOVUPD X1, 16(DI)(AX*8)
	MOVUPD X2, 32(DI)(AX*8)
	MOVUPD X3, 48(DI)(AX*8)
	ADDQ   $8, AX
	CMPQ   AX, DX
	JLT    block

rest:
	CMPQ  AX, CX
	JGE   done
	MOVSD (BX)(AX*8), X0
	MULSD X15, X0
	ADDSD (SI)(AX*8), X0
	MOVSD X0, (DI)(AX*8)
	INCQ  AX
	JMP   rest

done:
	RET
