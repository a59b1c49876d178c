// Package operation measures what a way of providing root file systems costs:
// making and removing clones, changing their files, finding out what changed,
// the memory and the disk space that they take; and tries in what a clone
// behaves otherwise than a plain directory.
//
// Each operation asserts its mechanism: that a change of a file of the image
// copied as much as the backend says, that a cold file came from the device,
// that a list of changes is the true one. A violated assertion is an error,
// never a figure.
//
// What is timed is the system calls that a program in a clone would make, or
// the call of the pool; choosing files, preparing names and checking what came
// of it stand outside.
package operation
