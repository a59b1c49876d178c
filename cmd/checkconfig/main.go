// Command checkconfig says whether a host is ready to run containers, by
// trying what they need. Run it with --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A run takes some 20 ms and then takes away what it made: an interrupt
	// waits for that, rather than leave a cgroup behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}
