package backendtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An exercise does the same to a clone and to a tree in memory.
type exercise struct {
	root  string
	base  *node // the image
	tree  *node
	fixed map[*node]bool // see linkedNodes
	stuck map[*node]bool // what can be removed, and nothing else: Info.NoSpecialFiles
	rand  *rand.Rand
	log   []string

	parts bool // Info.LinksPart
	// origin is where what the image has was at first; nil unless Info.Resurfaces.
	origin map[*node]string
}

// errNothing says that what an operation needs is not there.
var errNothing = errors.New("nothing to do it to")

var operations = []struct {
	name   string
	weight int
	do     func(*exercise) error
}{
	{"create", 6, (*exercise).create},
	{"write", 6, (*exercise).write},
	{"write, times put back", 2, (*exercise).forge},
	{"rewrite", 3, (*exercise).rewrite},
	{"truncate", 3, (*exercise).truncate},
	{"replace", 3, (*exercise).replace},
	{"remove", 5, (*exercise).remove},
	{"restore", 3, (*exercise).restore},
	{"rename", 8, (*exercise).rename},
	{"link", 3, (*exercise).link},
	{"chmod", 3, (*exercise).chmod},
	{"chown", 3, (*exercise).chown},
	{"xattr", 4, (*exercise).xattr},
	{"touch", 1, (*exercise).touch},
}

// steps does n operations that find something to do.
func (e *exercise) steps(n int) error {
	total := 0
	for _, op := range operations {
		total += op.weight
	}
	for n > 0 {
		pick, i := e.rand.IntN(total), 0
		for ; pick >= operations[i].weight; i++ {
			pick -= operations[i].weight
		}
		err := operations[i].do(e)
		if errors.Is(err, errNothing) {
			continue
		} else if err != nil {
			return fmt.Errorf("%s: %w", operations[i].name, err)
		}
		n--
	}
	return nil
}

func (e *exercise) say(format string, args ...any) {
	e.log = append(e.log, fmt.Sprintf(format, args...))
}

func (e *exercise) file(name string) string { return filepath.Join(e.root, name) }

// any picks a path that will do.
func (e *exercise) any(fits func(string, *node) bool) (string, *node, error) {
	var names []string
	e.tree.each("/", func(name string, n *node) {
		if fits(name, n) {
			names = append(names, name)
		}
	})
	if len(names) == 0 {
		return "", nil, errNothing
	}
	name := names[e.rand.IntN(len(names))]
	return name, e.tree.at(name), nil
}

func anything(string, *node) bool                   { return true }
func isFile(_ string, n *node) bool                 { return n.kind() == unix.S_IFREG }
func isDirectory(_ string, n *node) bool            { return n.isDir() }
func notLink(_ string, n *node) bool                { return n.kind() != unix.S_IFLNK }
func notDirectory(_ string, n *node) bool           { return !n.isDir() }
func (e *exercise) writable(_ string, n *node) bool { return n.kind() == unix.S_IFREG && e.free(n) }

// free are files that may be changed in place. What has a capability loses it
// then, on some file systems when it is written to, on others earlier.
func (e *exercise) free(n *node) bool {
	return !e.fixed[n] && !e.stuck[n] && n.xattrs["security.capability"] == ""
}

// name is a path in some directory, a new one as a rule.
func (e *exercise) name() string {
	dir, _, err := e.any(isDirectory)
	if err != nil || e.rand.IntN(8) == 0 {
		dir = "/"
	}
	bases := []string{"new", "a b", "n\nl", "ü", "-x", "\xff\\134", "f.000", "d1", strings.Repeat("long", 60)}
	return path.Join(dir, fmt.Sprintf("%s%d", bases[e.rand.IntN(len(bases))], e.rand.IntN(3)))
}

var lengths = []int{0, 1, 100, 4095, 4096, 5000, 70_000}

func (e *exercise) content() string {
	return string(random(e.rand.Uint64(), lengths[e.rand.IntN(len(lengths))]))
}

// create makes something of any type where nothing is.
func (e *exercise) create() error {
	name := e.name()
	if e.tree.at(name) != nil {
		return errNothing
	}
	return e.make(name)
}

func (e *exercise) make(name string) error {
	file, n := e.file(name), &node{mode: 0o644, xattrs: map[string]string{}}
	var err error
	switch kind := e.rand.IntN(12); kind {
	default:
		n.mode |= unix.S_IFREG
		n.content = e.content()
		err = os.WriteFile(file, []byte(n.content), 0o644)
	case 0, 1, 2:
		n = newDir(0o755)
		err = os.Mkdir(file, 0o755)
	case 3, 4:
		n.mode, n.content = unix.S_IFLNK|0o777, fmt.Sprintf("../target%d", e.rand.IntN(4))
		err = os.Symlink(n.content, file)
	case 5:
		n.mode |= unix.S_IFIFO
		err = unix.Mkfifo(file, 0o644)
	case 6:
		n.mode |= unix.S_IFCHR
		n.rdev = unix.Mkdev(1, uint32(3+e.rand.IntN(3)))
		err = unix.Mknod(file, n.mode, int(n.rdev))
	}
	e.say("make %q: %s", name, n.line())
	if err == nil && n.kind() != unix.S_IFLNK {
		err = unix.Chmod(file, n.mode&0o7777) // whatever the umask is
	}
	if err == nil {
		e.tree.put(name, n)
	}
	return err
}

// write changes a part of a file in place, or appends to it.
func (e *exercise) write() error {
	name, n, err := e.any(e.writable)
	if err != nil {
		return err
	}
	at := e.rand.IntN(len(n.content) + 1)
	if e.rand.IntN(3) == 0 {
		at = len(n.content)
	}
	data := random(e.rand.Uint64(), 1+e.rand.IntN(20_000))
	e.say("write %q: %d bytes at %d", name, len(data), at)
	content := []byte(n.content)
	content = append(content[:at], append(data, content[min(len(content), at+len(data)):]...)...)
	n.content = string(content)
	return e.overwrite(name, n, string(data), at)
}

// forge writes without a trace in size and times.
func (e *exercise) forge() error {
	name, n, err := e.any(func(name string, n *node) bool { return e.writable(name, n) && n.content != "" })
	if err != nil {
		return err
	}
	at := e.rand.IntN(len(n.content))
	e.say("forge %q: a byte at %d", name, at)
	content := []byte(n.content)
	content[at] ^= 0x55
	n.content = string(content)
	var st unix.Stat_t
	return first(unix.Lstat(e.file(name), &st), e.overwrite(name, n, string(content[at:at+1]), at),
		unix.UtimesNanoAt(unix.AT_FDCWD, e.file(name), []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW))
}

// rewrite writes what is there.
func (e *exercise) rewrite() error {
	name, n, err := e.any(e.writable)
	if err != nil {
		return err
	}
	e.say("rewrite %q", name)
	return e.overwrite(name, n, n.content, 0)
}

// overwrite keeps a file's mode: write(2) leaves open whether it takes the
// set-user-ID bit away when root writes, and zfs-fuse does.
func (e *exercise) overwrite(name string, n *node, content string, at int) error {
	err := writeAt(e.file(name), content, int64(at))
	if err == nil && n.mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
		err = unix.Chmod(e.file(name), n.mode&0o7777)
	}
	return err
}

func (e *exercise) truncate() error {
	name, n, err := e.any(e.writable)
	if err != nil {
		return err
	}
	size := e.rand.IntN(2*len(n.content) + 10)
	e.say("truncate %q to %d", name, size)
	n.content = (n.content + strings.Repeat("\x00", size))[:size]
	return os.Truncate(e.file(name), int64(size))
}

// replace puts a new file of any type in the place of something.
func (e *exercise) replace() error {
	name, _, err := e.any(anything)
	if err != nil {
		return err
	}
	if err := e.take(name); err != nil {
		return err
	}
	return e.make(name)
}

func (e *exercise) remove() error {
	name, n, err := e.any(anything)
	if err != nil || n.isDir() && strings.Count(name, "/") == 1 && e.rand.IntN(4) > 0 {
		return errNothing // or soon nothing would be left
	}
	return e.take(name)
}

func (e *exercise) take(name string) error {
	e.say("remove %q", name)
	e.tree.put(name, nil)
	return os.RemoveAll(e.file(name))
}

// restore makes a file as the image has it, where there is one no more.
func (e *exercise) restore() error {
	var names []string
	e.base.each("/", func(name string, was *node) {
		if parent := e.tree.at(path.Dir(name)); was.kind() == unix.S_IFREG && e.tree.at(name) == nil && parent != nil && parent.isDir() {
			names = append(names, name)
		}
	})
	if len(names) == 0 {
		return errNothing
	}
	name := names[e.rand.IntN(len(names))]
	n := e.base.at(name).clone(map[*node]*node{})
	e.say("restore %q", name)
	e.tree.put(name, n)
	file := e.file(name)
	if err := first(os.WriteFile(file, []byte(n.content), 0o600), os.Chown(file, n.uid, n.gid), unix.Chmod(file, n.mode&0o7777)); err != nil {
		return err
	}
	for attr, value := range n.xattrs {
		if err := unix.Setxattr(file, attr, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

// rename moves anything to where nothing is, or something that may be replaced.
func (e *exercise) rename() error {
	from, n, err := e.any(anything)
	if err != nil {
		return err
	}
	if e.holdsStuck(n) || e.origin != nil && e.covers(from, n) {
		return errNothing
	}
	to := e.name()
	if e.rand.IntN(3) == 0 {
		fits := notDirectory
		if n.isDir() {
			fits = func(_ string, n *node) bool { return n.isDir() && len(n.children) == 0 }
		}
		if to, _, err = e.any(fits); err != nil {
			return err
		}
	}
	over := e.tree.at(to)
	switch {
	case over == n, strings.HasPrefix(to, from+"/"): // two names of one file: rename(2) does nothing
		return errNothing
	case over != nil && (n.isDir() != over.isDir() || len(over.children) > 0):
		return errNothing
	case over != nil && over.isDir(): // move could not do it by hand
		if err := os.Remove(e.file(to)); err != nil {
			return err
		}
	}
	e.say("rename %q to %q", from, to)
	e.tree.put(from, nil)
	e.tree.put(to, n)
	return move(e.file(from), e.file(to))
}

func (e *exercise) holdsStuck(n *node) bool {
	found := e.stuck[n]
	n.each("/", func(_ string, n *node) { found = found || e.stuck[n] })
	return found
}

// covers says whether a tree has anything that has taken the place of
// something of the image.
func (e *exercise) covers(at string, n *node) bool {
	found := false
	look := func(name string, n *node) {
		found = found || e.base.at(name) != nil && e.origin[n] != name
	}
	look(at, n)
	n.each(at, look)
	return found
}

func (e *exercise) link() error {
	from, n, err := e.any(isFile)
	to := e.name()
	if err != nil || e.tree.at(to) != nil {
		return errNothing
	}
	e.say("link %q to %q", to, from)
	e.tree.put(to, n)
	if e.parts {
		e.fixed[n] = true
	}
	return os.Link(e.file(from), e.file(to))
}

func (e *exercise) chmod() error {
	name, n, err := e.any(func(name string, n *node) bool { return notLink(name, n) && e.free(n) })
	if err != nil {
		return err
	}
	modes := []uint32{0o600, 0o644, 0o755, 0o444, 0o700, 0o1755, 0}
	mode := modes[e.rand.IntN(len(modes))]
	e.say("chmod %q to %o", name, mode)
	n.mode = n.kind() | mode
	return unix.Chmod(e.file(name), mode)
}

func (e *exercise) chown() error {
	name, n, err := e.any(func(_ string, n *node) bool { return e.free(n) })
	if err != nil {
		return err
	}
	n.uid, n.gid = e.rand.IntN(3), e.rand.IntN(3)*100_000
	e.say("chown %q to %d:%d", name, n.uid, n.gid)
	if err := os.Lchown(e.file(name), n.uid, n.gid); err != nil || n.kind() == unix.S_IFLNK {
		return err
	}
	delete(n.xattrs, "security.capability")        // chown(2) takes it away
	return unix.Chmod(e.file(name), n.mode&0o7777) // and set-id bits
}

func (e *exercise) xattr() error {
	name, n, err := e.any(func(_ string, n *node) bool { return e.free(n) && (n.isDir() || n.kind() == unix.S_IFREG) })
	if err != nil {
		return err
	}
	attr := []string{"user.origin", "user.note", "trusted.note"}[e.rand.IntN(3)]
	if _, has := n.xattrs[attr]; has && e.rand.IntN(2) == 0 {
		e.say("remove %s of %q", attr, name)
		delete(n.xattrs, attr)
		return unix.Lremovexattr(e.file(name), attr)
	}
	value := string(random(e.rand.Uint64(), e.rand.IntN(100)))
	e.say("set %s of %q: %d bytes", attr, name, len(value))
	n.xattrs[attr] = value
	return unix.Lsetxattr(e.file(name), attr, []byte(value), 0)
}

func (e *exercise) touch() error {
	name, _, err := e.any(func(name string, n *node) bool { return notLink(name, n) && !e.stuck[n] })
	if err != nil {
		return err
	}
	e.say("touch %q", name)
	return os.Chtimes(e.file(name), time.Unix(7, 0), time.Unix(int64(e.rand.IntN(1e9)), 0))
}
