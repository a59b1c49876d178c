// Package launch starts processes by a program: an ordered list of system
// calls that runs between vfork and exec, with no Go runtime in the child.
//
// A Program is pure data, and printing one reads like a strace. Start clones
// a child that shares the caller's memory, makes the program's calls in order
// and stores the monotonic clock before each phase, so that every start comes
// with its own cost breakdown.
package launch
