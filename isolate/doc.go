// Package isolate is a container engine that shows the least a container can
// cost on a host.
//
// A [Spec] is pure data. It is compiled to a launch program, the ordered
// system calls that make a container, which runs in the child between vfork
// and exec: see package launch. The zero Spec is a bare process; there is one
// code path, and bare is only a Spec with nothing in it.
//
//	run, err := host.NewRun(name)           // cgroups of this run
//	engine := isolate.NewEngine(run)
//	c, err := engine.Create(spec)           // its cgroup, with limits written
//	err = c.Start(ctx)                      // its first instruction is under way
//	exit, err := c.Wait(ctx)
//	err = c.Remove(ctx)
//
// [Hardened] adds to a Spec what Docker puts around a container by default:
// package seccomp's filter, masked and read-only paths, a list of devices.
//
// A container that runs can be entered ([Container.Exec]), frozen, restarted,
// and asked what it changed ([Container.Changes]). An ordinary user's is made
// by [Spec.Rootless]. What an older kernel lacks is asked for once, and done
// without: see [Engine.Missing].
//
// An engine keeps no thread, no goroutine and no descriptor per container.
package isolate
