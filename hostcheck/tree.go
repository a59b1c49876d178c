package hostcheck

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// tree is a host's file system seen from its root: "/" for this host, a
// directory for a recorded one. Reads answer "" for what is not there: a
// missing file is ordinary here, since kernels differ in what they offer.
type tree string

func (t tree) path(name string) string { return filepath.Join(string(t), name) }

// text is the content of a small file, without surrounding white space.
func (t tree) text(name string) string {
	b, err := readAll(t.path(name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// readAll is os.ReadFile without the poller, for which these files do not
// wait: a check reads some three hundred of them.
func readAll(path string) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	b := make([]byte, 0, 1024)
	for {
		n, err := syscall.Read(fd, b[len(b):cap(b)])
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return b, err
		}
		b = b[:len(b)+n]
		if len(b) == cap(b) {
			b = append(b, make([]byte, cap(b))...)[:len(b)]
		}
	}
}

// number is the integer in a file that holds nothing else.
func (t tree) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(t.text(name), 10, 64)
	return n, err == nil
}

func (t tree) exists(name string) bool {
	_, err := os.Lstat(t.path(name))
	return err == nil
}

// link is what a symbolic link points at.
func (t tree) link(name string) string {
	s, err := os.Readlink(t.path(name))
	if err != nil {
		return ""
	}
	return s
}

func (t tree) glob(pattern string) []string {
	names, _ := filepath.Glob(t.path(pattern))
	for i, n := range names {
		if t != "/" {
			names[i] = strings.TrimPrefix(n, string(t))
		}
	}
	return names
}

// field is the value of "name: value" or "name=value" in a file of such
// lines, as /proc/PID/status, /proc/meminfo and os-release are written.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		rest = strings.TrimLeft(rest, " \t")
		if v, ok := strings.CutPrefix(rest, ":"); ok {
			return strings.TrimSpace(v)
		}
		if v, ok := strings.CutPrefix(rest, "="); ok {
			return strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return ""
}

// kilobytes is the number of a line "Name: 123 kB" of /proc/meminfo.
func kilobytes(meminfo, name string) int64 {
	n, _, _ := strings.Cut(field(meminfo, name), " ")
	v, _ := strconv.ParseInt(n, 10, 64)
	return v
}
