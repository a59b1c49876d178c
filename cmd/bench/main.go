// Command bench measures what a container costs on this host, against a bare
// process. Its subcommands are one file each; `bench --help` teaches them.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], streams{out: os.Stdout, err: os.Stderr}))
}
