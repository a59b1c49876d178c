// Package block makes block devices on sparse files, file systems on them, and
// mounts: the ground on which backends stand.
//
// A process that is killed leaves mounts and files, and nothing else: a loop
// device is cleared by the kernel when the last of its users goes
// (LO_FLAGS_AUTOCLEAR, loop(4)).
package block
