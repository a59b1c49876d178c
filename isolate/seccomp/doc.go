// Package seccomp turns a system-call profile in Docker's format into a
// seccomp filter: a classic BPF program that the kernel runs before every
// system call (seccomp(2), the kernel's seccomp_filter.rst).
//
// A [Profile] is data. [Profile.Filter] assembles it for one machine and one
// set of capabilities, as Docker, libseccomp and runc would between them: the
// rules that apply, every ABI that the kernel runs (on amd64 also x32 and
// i386, on arm64 also 32-bit arm), EPERM for what is refused and ENOSYS for
// what is newer than the profile, so that programs fall back.
//
// The whole package is pure, and filters for either architecture can be made
// on any.
package seccomp

//go:generate go run numbers_gen.go
