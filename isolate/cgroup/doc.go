// Package cgroup limits and accounts a group of processes through Linux
// control groups: version 1, version 2, and the hybrid of both.
//
// On a hybrid host each controller lives in one of the two versions, so
// nothing here asks "is this a v2 host": every question is answered per
// controller. [Detect] reads the layout; [Host.Values] compiles [Limits] to the
// files and data to write, without touching the kernel; a [Run] makes the
// groups and a [Group] joins processes, reads usage, freezes, kills.
//
// The groups of one run stand below one directory per hierarchy:
//
//	PARENT/plimsoll-RUN/           holds no process itself (v2 admits none beside controllers)
//	PARENT/plimsoll-RUN/bare       processes without limits
//	PARENT/plimsoll-RUN/NAME       one per container
//
// PARENT is the top of the visible hierarchy, as for dockerd's cgroupfs driver,
// or the group that was delegated to us. A directory is made only in the
// hierarchies that a container's limits or accounting need, and in one more,
// the marker, which holds every process of the run: the unified hierarchy where
// there is one (even without controllers it has cgroup.kill, cgroup.freeze and
// CLONE_INTO_CGROUP), else one of v1.
//
// Sources: the kernel's Documentation/admin-guide/cgroup-v2.rst and
// cgroup-v1/*.rst, cgroups(7).
package cgroup
