// Package scope moves this process into a transient scope unit of systemd's,
// whose cgroup is delegated: below it the process makes groups as it likes.
//
// systemd owns the cgroup tree of a host that it manages, and nobody else may
// make groups in the tree's root or change those that are there. Who wants some
// of his own asks for a unit with Delegate=yes; what is below its group is
// then his alone (https://systemd.io/CGROUP_DELEGATION). A scope is the unit for
// processes that systemd did not start. It ends by itself when its last process
// does, so that nothing is left of a program that is killed, but for what it has
// started and left running.
//
// On v2 systemd hands all controllers down to such a scope; on v1 and hybrid
// hosts the scope's group is made in the hierarchies of the controllers that systemd
// manages: cpu, cpuacct, blkio, memory, pids and devices. An ordinary user
// gets from his own manager what was delegated to that: of v1, no controller.
package scope
