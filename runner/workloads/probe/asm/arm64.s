// The probe for linux/arm64: a whole ELF file, headers included, that as and
// objcopy turn into bytes. What it does is told in ../probe.go; amd64.s is
// the same program, line for line.
//
// System calls: x8 number; x0 to x5 arguments; x0 result, all else is kept.
// Numbers: include/uapi/asm-generic/unistd.h in the kernel's source.

	.text

	.set base, 0x400000          // where the linker of any static program puts it

// elf(5): Elf64_Ehdr.
ehdr:	.ascii "\177ELF"
	.byte 2, 1, 1, 0             // 64 bits, little-endian, version 1, System V
	.quad 0
	.short 2, 183                // ET_EXEC, EM_AARCH64
	.long 1
	.quad base + _start - ehdr   // entry
	.quad phdr - ehdr
	.quad 0                      // no sections
	.long 0
	.short phdr - ehdr, 56, 2    // two program headers
	.short 64, 0, 0

// One segment, read and execute: the program keeps its data on the stack.
// Aligned to 64 KiB, the largest page of an arm64 kernel.
phdr:	.long 1, 5                   // PT_LOAD, PF_R | PF_X
	.quad 0, base, base
	.quad end - ehdr, end - ehdr
	.quad 0x10000
// Kernels before 5.8 made the stack executable without this one.
	.long 0x6474e551, 6          // PT_GNU_STACK, PF_R | PF_W
	.quad 0, 0, 0, 0, 0, 16

// The stack: [sp] a timespec, [sp+16] the record, [sp+48] the signal mask.
	.globl _start
_start:	mov x19, sp                  // argc, argv[0], argv[1], ...
	sub sp, sp, #64
	mov x1, sp
	mov x0, #1                   // CLOCK_MONOTONIC
	mov x8, #113
	svc #0                       // clock_gettime

	ldp x0, x1, [sp]
	ldr x2, =1000000000
	madd x0, x0, x2, x1
	ldr x2, =0x4c4c4f534d494c50  // "PLIMSOLL"
	stp x2, x0, [sp, #16]
	mov x20, #0
	str xzr, [sp, #32]

	ldr x0, [x19]                // argc
	cmp x0, #2
	b.lo done
	b.eq mode

	ldr x1, [x19, #24]           // argv[2]: as many as 8 bytes are the id
	add x2, sp, #32
	mov x3, #8
id:	ldrb w0, [x1], #1
	cbz w0, mode
	strb w0, [x2], #1
	subs x3, x3, #1
	b.ne id

mode:	mov x20, #2                  // exit code for a mode unknown
	ldr x1, [x19, #16]           // argv[1]
	ldr w19, [x1]                // past its end, never the stack's: the kernel
	ldr w4, =0x74697865          // "exit"      puts the file's name above it
	ldr w5, =0x74696177          // "wait"
	ldr w6, =0x65757274          // "true"
	cmp w19, w4
	b.eq four
	cmp w19, w5
	b.eq four
	cmp w19, w6
	b.ne done
four:	ldrb w0, [x1, #4]
	cbnz w0, done
	mov x20, #0
	cmp w19, w6
	b.eq done
	cmp w19, w5
	b.ne write

	mov x0, #0x4002              // SIGINT and SIGTERM: bits 1 and 14
	str x0, [sp, #48]
	mov x0, #0                   // SIG_BLOCK
	add x1, sp, #48
	mov x2, #0
	mov x3, #8
	mov x8, #135
	svc #0                       // rt_sigprocmask

write:	mov x8, #172
	svc #0                       // getpid
	str x0, [sp, #40]
	mov x0, #1
	add x1, sp, #16
	mov x2, #32
	mov x8, #64
	svc #0                       // write
	mov x20, #3
	cmp x0, #32
	b.ne done
	mov x20, #0
	cmp w19, w5
	b.ne done

wait:	add x0, sp, #48
	mov x1, #0
	mov x2, #0                   // no time limit
	mov x3, #8
	mov x8, #137
	svc #0                       // rt_sigtimedwait; EINTR after SIGCONT
	tbnz x0, #63, wait

done:	mov x0, x20
	mov x8, #94
	svc #0                       // exit_group
	.ltorg
end:
