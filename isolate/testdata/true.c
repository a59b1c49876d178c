/* The shortest programs: no libc, one system call.
 *
 *   cc -O2 -static -nostdlib -o true true.c          exit(0)
 *   cc -O2 -static -nostdlib -DWAIT -o wait true.c   pause(), until it is killed
 */
#if defined(__x86_64__)
#define CALL(nr, ...) __asm__ volatile("syscall" : : "a"((long)(nr)), ##__VA_ARGS__ : "rcx", "r11", "memory")
#define EXIT CALL(231, "D"(0L))
#define PAUSE CALL(34)
#elif defined(__aarch64__)
static inline void call(long nr, long a)
{
	register long x8 __asm__("x8") = nr, x0 __asm__("x0") = a, x1 __asm__("x1") = 0, x2 __asm__("x2") = 0, x3 __asm__("x3") = 0;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
}
#define EXIT call(94, 0)
#define PAUSE call(73, 0) /* ppoll of nothing */
#endif

void _start(void)
{
#ifdef WAIT
	for (;;)
		PAUSE;
#else
	EXIT;
#endif
}
