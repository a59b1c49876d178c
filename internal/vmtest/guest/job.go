// Package guest is the first process of the virtual machine in which the
// kernel tests run: it makes the initramfs look like a small Debian host, runs
// each test binary as each user, reports over a virtio port and powers off.
package guest

import "time"

const (
	// JobFile is where init finds its Job.
	JobFile = "/etc/vmtest.json"
	// Port is the name of the virtio port that carries a stream of JSON Events
	// to the machine outside.
	Port = "plimsoll.vmtest"
	// CoverDir is where test binaries leave their coverage (-test.gocoverdir).
	CoverDir = "/run/cover"
	// UserID is both uid and gid of the ordinary user.
	UserID = 1000
	// UserName is the ordinary user's, as it stands in /etc/passwd and /etc/subuid.
	UserName = "plimsoll"
)

// Job is what init has to do.
type Job struct {
	Cgroup  string        // "v1", "v2" or "hybrid": what is mounted on /sys/fs/cgroup
	Init    string        // "systemd", or "" for this program alone
	Modules []string      // loaded before anything else; others load on demand
	Nodes   []Node        // device nodes whose first opening loads a module
	Timeout time.Duration // of one test binary
	Limit   time.Duration // of the whole job: then the machine powers off
	Swap    int           // MiB of swap space
	Runs    []Run
}

// Node is a character device in /dev.
type Node struct {
	Name         string // "net/tun"
	Major, Minor uint32
}

// Run is one test binary run as one user.
type Run struct {
	User string   // "root" or "user"
	Path string   // the test binary
	Dir  string   // its working directory
	Args []string // flags of the test binary
	Env  []string // beside what any login has: PATH, HOME, TMPDIR, XDG_RUNTIME_DIR
}

// Event is one message from init. Kind says which fields count.
type Event struct {
	Kind   string
	Run    int     `json:",omitempty"` // index in Job.Runs, for Start, Output and Exit
	Data   []byte  `json:",omitempty"` // Output: what the run printed; File: the content
	Name   string  `json:",omitempty"` // File: base name; Boot: kernel release
	Status string  `json:",omitempty"` // Exit: "" for success, else as in "exit status 2"
	Took   float64 `json:",omitempty"` // Exit: seconds; Boot: seconds since the kernel started
}

// The kinds of Event, in the order in which they come.
const (
	Boot   = "boot"
	Start  = "start"
	Output = "output"
	Exit   = "exit"
	File   = "file" // one file of CoverDir
	Done   = "done"
)
