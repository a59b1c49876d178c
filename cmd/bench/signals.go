package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// errStopped is why the context of a run ends when the user stops it.
var errStopped = errors.New("stopped by a signal")

// untilStopped gives a context that ends at Ctrl-C, SIGTERM or SIGHUP. What
// was made on the host is then removed, and no further signal cuts that short:
// it is answered by a line. Release ends the watch.
//
// SIGPIPE is caught and passed over: a reader of the progress who goes away
// must not kill a run before it has cleaned up.
func untilStopped(ctx context.Context, out io.Writer) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				switch {
				case s == syscall.SIGPIPE:
				case ctx.Err() == nil:
					fmt.Fprintf(out, "\nbench: %s: stopping the trial and removing what the run made\n", s)
					cancel(errStopped)
				default:
					fmt.Fprintf(out, "\nbench: %s: still removing what the run made; it takes a moment\n", s)
				}
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
