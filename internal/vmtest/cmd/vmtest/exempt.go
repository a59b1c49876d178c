package main

// exempt are tests that want what no machine of ours has, and why. A machine
// that has it runs them all the same.
var exempt = map[string]string{}
