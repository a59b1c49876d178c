package isolate

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// IDs are what an ordinary user can map in a user namespace.
type IDs struct {
	UID, GID []IDMap
	Helpers  [2]string // newuidmap and newgidmap; "" where one's own id is all there is
	Note     string    // why there are no more, and how to get them; "" with ranges
}

// FindIDs looks up what this user can map: his own id as root, and the ranges
// that /etc/subuid and /etc/subgid grant him from id 1 on, where the setuid
// helpers that may map them are installed (subuid(5), newuidmap(1)).
func FindIDs() IDs {
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	one := IDs{UID: []IDMap{{0, uid, 1}}, GID: []IDMap{{0, gid, 1}}}
	ids := one
	name := loginName(uid)
	for i, of := range []struct {
		maps         *[]IDMap
		file, helper string
	}{{&ids.UID, "/etc/subuid", "newuidmap"}, {&ids.GID, "/etc/subgid", "newgidmap"}} {
		path, err := exec.LookPath(of.helper)
		if err == nil {
			path, err = filepath.Abs(path)
		}
		if err != nil {
			one.Note = of.helper + " is not installed: apt-get install uidmap"
			break
		}
		ids.Helpers[i] = path
		f, err := os.Open(of.file)
		if err != nil {
			one.Note = err.Error()
			break
		}
		ranges := subordinate(f, name, uid)
		f.Close()
		if len(ranges) == 0 {
			one.Note = fmt.Sprintf("%s grants user %d no ids: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER", of.file, uid)
			break
		}
		next := uint32(1)
		for _, r := range ranges {
			r.Container = next
			next += r.Size
			*of.maps = append(*of.maps, r)
		}
	}
	if one.Note != "" {
		one.Note = "one id is mapped: " + one.Note
		return one
	}
	return ids
}

// loginName is the user's in /etc/passwd, or what he says of himself where his
// account is elsewhere. Package os/user would link this one with libc.
func loginName(uid uint32) string {
	text, err := os.ReadFile("/etc/passwd")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if field := strings.Split(line, ":"); len(field) > 2 && field[2] == strconv.Itoa(int(uid)) {
				return field[0]
			}
		}
	}
	return os.Getenv("USER")
}

// subordinate reads the ranges that a file in the form of subuid(5) grants a
// user, by name or by number. Lines that make no sense are passed over, as the
// helpers do.
func subordinate(r io.Reader, name string, uid uint32) []IDMap {
	var ranges []IDMap
	next := uint64(1) // of the container's ids: all must fit
	for lines := bufio.NewScanner(r); lines.Scan(); {
		field := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(field) != 3 || field[0] == "" || field[0] != name && field[0] != strconv.Itoa(int(uid)) {
			continue
		}
		first, err1 := strconv.ParseUint(field[1], 10, 32)
		size, err2 := strconv.ParseUint(field[2], 10, 32)
		const highest = 1<<32 - 2 // -1 is no id
		if err1 != nil || err2 != nil || size == 0 || first+size-1 > highest || next+size-1 > highest {
			continue
		}
		next += size
		ranges = append(ranges, IDMap{Host: uint32(first), Size: uint32(size)})
	}
	return ranges
}

// Rootless makes of a spec one that an ordinary user can start: in a user
// namespace whose root he is. The child has a copy of the harness's memory, for
// another process of the user may look into it while it waits for its maps.
func (s *Spec) Rootless(ids IDs) {
	s.Namespaces |= UserNS
	s.UIDMap, s.GIDMap, s.MapHelpers = ids.UID, ids.GID, ids.Helpers
	s.DenySetgroups = ids.Helpers[1] == ""
	s.CopyMemory = true
	if s.Root != nil && s.Root.Overlay != nil {
		root, overlay := *s.Root, *s.Root.Overlay
		overlay.UserXattr = true // trusted.* is for the root of the host
		root.Overlay = &overlay
		s.Root = &root
	}
}
