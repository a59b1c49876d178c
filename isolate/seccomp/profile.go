package seccomp

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Profile says which system calls are refused, and how: Docker's format
// (docs.docker.com/engine/security/seccomp), whose rules may depend on the
// container's capabilities, the kernel and the architecture.
type Profile struct {
	DefaultAction   Action    `json:"defaultAction"`
	DefaultErrnoRet *uint16   `json:"defaultErrnoRet,omitempty"` // nil is EPERM
	ArchMap         []ArchMap `json:"archMap,omitempty"`
	Syscalls        []Rule    `json:"syscalls"`
}

// ArchMap says which further ABIs programs of an architecture may use. A call
// made through any other kills the thread.
type ArchMap struct {
	Architecture     string   `json:"architecture"` // SCMP_ARCH_X86_64
	SubArchitectures []string `json:"subArchitectures"`
}

// Rule decides on system calls. The names that an ABI does not have are
// passed over.
type Rule struct {
	Names    []string `json:"names"`
	Action   Action   `json:"action"`
	ErrnoRet *uint16  `json:"errnoRet,omitempty"` // nil is EPERM
	Args     []Arg    `json:"args,omitempty"`     // all must hold; those on one and the same argument are alternatives
	Comment  string   `json:"comment,omitempty"`
	Includes When     `json:"includes,omitzero"` // the rule stands only where all of this holds
	Excludes When     `json:"excludes,omitzero"` // and where none of this does
}

// Arg is a comparison of one argument, as of 64 bits.
type Arg struct {
	Index    int    `json:"index"`
	Value    uint64 `json:"value"` // of SCMP_CMP_MASKED_EQ the mask
	ValueTwo uint64 `json:"valueTwo,omitempty"`
	Op       Op     `json:"op"`
}

// When is a condition on where a filter is for.
type When struct {
	Caps      []string `json:"caps,omitempty"`      // CAP_SYS_ADMIN: all of them
	Arches    []string `json:"arches,omitempty"`    // amd64: one of them
	MinKernel string   `json:"minKernel,omitempty"` // 4.8
}

// Action is what happens to a call, by libseccomp's names.
type Action string

// Op compares an argument, by libseccomp's names.
type Op string

// actions are the kernel's return values (linux/seccomp.h).
var actions = map[Action]uint32{
	"SCMP_ACT_ALLOW": 0x7fff0000, "SCMP_ACT_LOG": 0x7ffc0000, "SCMP_ACT_ERRNO": 0x00050000, "SCMP_ACT_TRAP": 0x00030000,
	"SCMP_ACT_KILL": killThread, "SCMP_ACT_KILL_THREAD": killThread, "SCMP_ACT_KILL_PROCESS": 0x80000000,
}

const (
	killThread = 0
	eperm      = 1
	enosys     = 38 // on every architecture of ours
)

//go:embed docker.json
var docker []byte

// Docker is Docker's default profile: that of github.com/moby/profiles v0.2.3,
// copyright The Moby Authors, Apache License 2.0.
var Docker = sync.OnceValue(func() *Profile {
	p, err := Parse(docker)
	if err != nil {
		panic("embedded profile: " + err.Error())
	}
	return p
})

// Parse reads a profile and refuses what it does not understand: a rule that
// was passed over would be a hole.
func Parse(b []byte) (*Profile, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	p := &Profile{}
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	if d.More() {
		return nil, errors.New("seccomp profile: more follows after its end")
	}
	if err := p.validate(); err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	return p, nil
}

func (p *Profile) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if _, ok := actions[p.DefaultAction]; !ok {
		bad("defaultAction %q: not one that this program can take", p.DefaultAction)
	}
	for i, r := range p.Syscalls {
		where := fmt.Sprintf("syscalls[%d] (%s)", i, strings.Join(r.Names, ", "))
		if len(r.Names) == 0 {
			bad("%s: names no call", where)
		}
		if _, ok := actions[r.Action]; !ok {
			bad("%s: action %q: not one that this program can take", where, r.Action)
		}
		for _, a := range r.Args {
			if a.Index < 0 || a.Index > 5 {
				bad("%s: argument %d: must be 0 to 5", where, a.Index)
			}
			if comparisons[a.Op] == nil {
				bad("%s: comparison %q: unknown", where, a.Op)
			}
		}
		for _, w := range []When{r.Includes, r.Excludes} {
			if _, err := parseKernel(w.MinKernel); err != nil {
				bad("%s: %w", where, err)
			}
		}
	}
	return errors.Join(errs...)
}

// parseKernel reads "4.8" as 4,008; nothing is 0.
func parseKernel(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	a, b, _ := strings.Cut(s, ".")
	major, errA := strconv.ParseUint(a, 10, 16)
	minor, errB := strconv.ParseUint(b, 10, 16)
	if errA != nil || errB != nil || minor > 999 {
		return 0, fmt.Errorf("minKernel %q: must be MAJOR.MINOR", s)
	}
	return int(major*1000 + minor), nil
}

// applies says whether a rule stands in a filter for that target.
func (r *Rule) applies(t Target) bool {
	in, out := r.Includes, r.Excludes
	has := func(c string) bool { return slices.Contains(t.Capabilities, c) }
	lacks := func(c string) bool { return !has(c) }
	least, _ := parseKernel(in.MinKernel)
	above, _ := parseKernel(out.MinKernel)
	return (len(in.Arches) == 0 || slices.Contains(in.Arches, t.Arch)) && !slices.Contains(out.Arches, t.Arch) &&
		!slices.ContainsFunc(in.Caps, lacks) && !slices.ContainsFunc(out.Caps, has) &&
		t.Kernel >= least && (above == 0 || t.Kernel < above)
}

// result is the kernel's return value for an action.
func result(a Action, errno *uint16) uint32 {
	value := actions[a]
	if a != "SCMP_ACT_ERRNO" {
		return value
	}
	if errno == nil {
		return value | eperm
	}
	return value | uint32(*errno)
}
