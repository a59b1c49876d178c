// Guestinit is the init program of the virtual machine that vmtest boots.
package main

import "plimsoll/internal/vmtest/guest"

func main() { guest.Init() }
