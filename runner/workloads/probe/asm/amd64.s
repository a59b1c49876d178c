# The probe for linux/amd64: a whole ELF file, headers included, that as and
# objcopy turn into bytes. What it does is told in ../probe.go; arm64.s is
# the same program, line for line.
#
# System calls: rax number; rdi rsi rdx r10 arguments; rcx and r11 are lost.
# Numbers: arch/x86/entry/syscalls/syscall_64.tbl in the kernel's source.

	.intel_syntax noprefix
	.text

	.set base, 0x400000          # where the linker of any static program puts it

# elf(5): Elf64_Ehdr.
ehdr:	.ascii "\177ELF"
	.byte 2, 1, 1, 0             # 64 bits, little-endian, version 1, System V
	.quad 0
	.short 2, 62                 # ET_EXEC, EM_X86_64
	.long 1
	.quad base + _start - ehdr   # entry
	.quad phdr - ehdr
	.quad 0                      # no sections
	.long 0
	.short phdr - ehdr, 56, 2    # two program headers
	.short 64, 0, 0

# One segment, read and execute: the program keeps its data on the stack.
phdr:	.long 1, 5                   # PT_LOAD, PF_R | PF_X
	.quad 0, base, base
	.quad end - ehdr, end - ehdr
	.quad 0x10000
# Kernels before 5.8 made the stack executable without this one.
	.long 0x6474e551, 6          # PT_GNU_STACK, PF_R | PF_W
	.quad 0, 0, 0, 0, 0, 16

# The stack: [rsp] a timespec, [rsp+16] the record, [rsp+48] the signal mask.
	.globl _start
_start:	mov rbp, rsp                 # argc, argv[0], argv[1], ...
	sub rsp, 64
	mov rsi, rsp
	mov edi, 1                   # CLOCK_MONOTONIC
	mov eax, 228
	syscall                      # clock_gettime

	imul rax, [rsp], 1000000000
	add rax, [rsp+8]
	mov [rsp+24], rax
	movabs rax, 0x4c4c4f534d494c50 # "PLIMSOLL"
	mov [rsp+16], rax
	xor ebx, ebx
	mov [rsp+32], rbx

	mov rax, [rbp]               # argc
	cmp rax, 2
	jb done
	je mode

	mov rsi, [rbp+24]            # argv[2]: as many as 8 bytes are the id
	lea rdi, [rsp+32]
	mov ecx, 8
id:	lodsb
	test al, al
	jz mode
	stosb
	loop id

mode:	mov ebx, 2                   # exit code for a mode unknown
	mov rsi, [rbp+16]            # argv[1]
	mov eax, [rsi]               # past its end, never the stack's: the kernel
	cmp eax, 0x74697865          # "exit"      puts the file's name above it
	je four
	cmp eax, 0x74696177          # "wait"
	je four
	cmp eax, 0x65757274          # "true"
	jne done
four:	cmp byte ptr [rsi+4], 0
	jne done
	xor ebx, ebx
	mov ebp, eax
	cmp ebp, 0x65757274
	je done
	cmp ebp, 0x74696177
	jne write

	mov qword ptr [rsp+48], 0x4002 # SIGINT and SIGTERM: bits 1 and 14
	mov r10d, 8
	xor edx, edx
	lea rsi, [rsp+48]
	xor edi, edi                 # SIG_BLOCK
	mov eax, 14
	syscall                      # rt_sigprocmask

write:	mov eax, 39
	syscall                      # getpid
	mov [rsp+40], rax
	mov edx, 32
	lea rsi, [rsp+16]
	mov edi, 1
	mov eax, 1
	syscall                      # write
	mov ebx, 3
	cmp rax, 32
	jne done
	xor ebx, ebx
	cmp ebp, 0x74696177
	jne done

wait:	mov r10d, 8
	xor edx, edx                 # no time limit
	xor esi, esi
	lea rdi, [rsp+48]
	mov eax, 128
	syscall                      # rt_sigtimedwait; EINTR after SIGCONT
	test rax, rax
	js wait

done:	mov edi, ebx
	mov eax, 231
	syscall                      # exit_group
end:
