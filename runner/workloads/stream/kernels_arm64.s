#include "textflag.h"

// Each kernel takes n in blocks of 8 elements, one cache line of each array,
// and then what is left one by one. Stores are ordinary ones, as a C compiler
// makes of these loops (see kernels_amd64.s). The triad is fused, as a Go or
// C compiler does on arm64: one rounding less than on amd64.

// func copyKernel(c, a []float64)
TEXT ·copyKernel(SB), NOSPLIT, $0-48
	MOVD c_base+0(FP), R0
	MOVD a_base+24(FP), R1
	MOVD c_len+8(FP), R3
	SUBS $8, R3
	BLT  tail

block:
	VLD1.P 64(R1), [V0.D2, V1.D2, V2.D2, V3.D2]
	VST1.P [V0.D2, V1.D2, V2.D2, V3.D2], 64(R0)
	SUBS   $8, R3
	BGE    block

tail:
	ADDS $8, R3
	BEQ  done

rest:
	FMOVD.P 8(R1), F0
	FMOVD.P F0, 8(R0)
	SUBS    $1, R3
	BNE     rest

done:
	RET

// func scaleKernel(b, c []float64, s float64)
TEXT ·scaleKernel(SB), NOSPLIT, $0-56
	MOVD  b_base+0(FP), R0
	MOVD  c_base+24(FP), R1
	MOVD  b_len+8(FP), R3
	FMOVD s+48(FP), F31
	VDUP  V31.D[0], V31.D2
	SUBS  $8, R3
	BLT   tail

block:
	VLD1.P 64(R1), [V0.D2, V1.D2, V2.D2, V3.D2]
	WORD   $0x6e7fdc00 // FMUL V0.2D, V0.2D, V31.2D
	WORD   $0x6e7fdc21 // FMUL V1.2D, V1.2D, V31.2D
	WORD   $0x6e7fdc42 // FMUL V2.2D, V2.2D, V31.2D
	WORD   $0x6e7fdc63 // FMUL V3.2D, V3.2D, V31.2D
	VST1.P [V0.D2, V1.D2, V2.D2, V3.D2], 64(R0)
	SUBS   $8, R3
	BGE    block

tail:
	ADDS $8, R3
	BEQ  done

rest:
	FMOVD.P 8(R1), F0
	FMULD   F31, F0
	FMOVD.P F0, 8(R0)
	SUBS    $1, R3
	BNE     rest

done:
	RET

// func addKernel(c, a, b []float64)
TEXT ·addKernel(SB), NOSPLIT, $0-72
	MOVD c_base+0(FP), R0
	MOVD a_base+24(FP), R1
	MOVD b_base+48(FP), R2
	MOVD c_len+8(FP), R3
	SUBS $8, R3
	BLT  tail

block:
	VLD1.P 64(R1), [V0.D2, V1.D2, V2.D2, V3.D2]
	VLD1.P 64(R2), [V4.D2, V5.D2, V6.D2, V7.D2]
	WORD   $0x4e64d400 // FADD V0.2D, V0.2D, V4.2D
	WORD   $0x4e65d421 // FADD V1.2D, V1.2D, V5.2D
	WORD   $0x4e66d442 // FADD V2.2D, V2.2D, V6.2D
	WORD   $0x4e67d463 // FADD V3.2D, V3.2D, V7.2D
	VST1.P [V0.D2, V1.D2, V2.D2, V3.D2], 64(R0)
	SUBS   $8, R3
	BGE    block

tail:
	ADDS $8, R3
	BEQ  done

rest:
	FMOVD.P 8(R1), F0
	FMOVD.P 8(R2), F1
	FADDD   F1, F0
	FMOVD.P F0, 8(R0)
	SUBS    $1, R3
	BNE     rest

done:
	RET

// func triadKernel(a, b, c []float64, s float64)
TEXT ·triadKernel(SB), NOSPLIT, $0-80
	MOVD  a_base+0(FP), R0
	MOVD  b_base+24(FP), R1
	MOVD  c_base+48(FP), R2
	MOVD  a_len+8(FP), R3
	FMOVD s+72(FP), F31
	VDUP  V31.D[0], V31.D2
	SUBS  $8, R3
	BLT   tail

block:
	VLD1.P 64(R1), [V0.D2, V1.D2, V2.D2, V3.D2]
	VLD1.P 64(R2), [V4.D2, V5.D2, V6.D2, V7.D2]
	VFMLA  V31.D2, V4.D2, V0.D2
	VFMLA  V31.D2, V5.D2, V1.D2
	VFMLA  V31.D2, V6.D2, V2.D2
	VFMLA  V31.D2, V7.D2, V3.D2
	VST1.P [V0.D2, V1.D2, V2.D2, V3.D2], 64(R0)
	SUBS   $8, R3
	BGE    block

tail:
	ADDS $8, R3
	BEQ  done

rest:
	FMOVD.P 8(R1), F0
	FMOVD.P 8(R2), F1
	FMADDD  F31, F0, F1, F0
	FMOVD.P F0, 8(R0)
	SUBS    $1, R3
	BNE     rest

done:
	RET
