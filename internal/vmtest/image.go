package vmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"plimsoll/internal/vmtest/guest"
)

// etc are the files that programs expect on a host. The ordinary user has the
// range of subordinate ids that useradd(8) gives, see subuid(5).
var etc = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/root:/bin/sh\n" + guest.UserName + ":x:1000:1000::/home/" + guest.UserName + ":/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
	"etc/group":         "root:x:0:\ntty:x:5:\n" + guest.UserName + ":x:1000:\nnogroup:x:65534:\n",
	"etc/subuid":        guest.UserName + ":100000:65536\n",
	"etc/subgid":        guest.UserName + ":100000:65536\n",
	"etc/hosts":         "127.0.0.1 localhost vmtest\n::1 localhost\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	"etc/os-release":    "ID=vmtest\nPRETTY_NAME=\"vmtest guest\"\n",
}

// testPackage is a package with tests, and its binary once that is built.
type testPackage struct {
	Path, Dir string
	binary    string
}

// buildTests compiles the test binaries of all packages that match and have
// tests, into dir, as the guest needs them: static, with coverage.
func buildTests(ctx context.Context, dir string, patterns []string) ([]testPackage, error) {
	list, err := goTool(ctx, append([]string{"list", "-f",
		`{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{"\t"}}{{.Dir}}{{end}}`}, patterns...)...)
	if err != nil {
		return nil, err
	}
	var all []testPackage
	for line := range strings.Lines(list) {
		path, src, _ := strings.Cut(strings.TrimSpace(line), "\t")
		all = append(all, testPackage{Path: path, Dir: src, binary: filepath.Join(dir, strconv.Itoa(len(all))+".test")})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no package with tests for linux/amd64 in %s", strings.Join(patterns, " "))
	}
	errs := make([]error, len(all))
	var builds sync.WaitGroup
	for i, p := range all { // linking takes the longest, and only one processor
		builds.Go(func() {
			// Without symbol table and DWARF a binary is a third smaller; panics keep their traces.
			_, errs[i] = goTool(ctx, "test", "-c", "-cover", "-covermode=atomic", "-coverpkg="+strings.Join(patterns, ","),
				"-ldflags=-s -w", "-o", p.binary, p.Path)
		})
	}
	builds.Wait()
	return all, errors.Join(errs...)
}

// goTool runs the go command for the guest, whatever the host is.
func goTool(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.String())
	}
	return string(out), nil
}

// addGuest puts into t what the guest has beside the kernel's modules: init and
// its job, busybox, programs of this host, the test binaries and their testdata.
// It builds init in dir.
func addGuest(ctx context.Context, t tree, dir string, job guest.Job, tests []testPackage, programs []string) error {
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} { // Debian's merged /usr
		t.link(d, "usr/"+d)
	}
	for _, d := range []string{"usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "newroot", "mnt", "var/lib", "var/log"} {
		t.dir(d, 0o755)
	}
	t.dir("root", 0o700)
	for name, text := range etc {
		t.text(name, text)
	}
	init := filepath.Join(dir, "init")
	if _, err := goTool(ctx, "build", "-ldflags=-s -w", "-o", init, "plimsoll/internal/vmtest/cmd/guestinit"); err != nil {
		return err
	}
	t.copy("init", init, 0o755)
	j, err := json.Marshal(job)
	if err != nil {
		return err
	}
	t.text(strings.TrimPrefix(guest.JobFile, "/"), string(j))
	if err := addBusybox(ctx, t); err != nil {
		return err
	}
	for _, p := range programs {
		if err := addProgram(ctx, t, p); err != nil {
			return err
		}
	}
	for i, p := range tests {
		t.copy(guestBinary(i), p.binary, 0o755)
		t.dir(guestDir(p), 0o755)
		if err := addTestdata(t, p); err != nil {
			return err
		}
	}
	return nil
}

func guestBinary(i int) string      { return fmt.Sprintf("src/%d.test", i) }
func guestDir(p testPackage) string { return "src/" + p.Path }

// addTestdata packs the directory that go test lets a test rely on.
func addTestdata(t tree, p testPackage) error {
	err := addFiles(t, filepath.Join(p.Dir, "testdata"), guestDir(p)+"/testdata")
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// addFiles packs a file, or a directory with all that is in it, as name.
func addFiles(t tree, from, name string) error {
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name := path.Join(name, rel)
		switch perm := uint32(info.Mode().Perm()); {
		case d.IsDir():
			t.dir(name, perm)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(file)
			t.link(name, target)
			return err
		default:
			t.copy(name, file, perm)
		}
		return nil
	})
}

// addBusybox packs the shell and the small programs, among them modprobe.
func addBusybox(ctx context.Context, t tree) error {
	const hint = "(hint: apt-get install busybox-static)"
	path, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("%w %s", err, hint)
	}
	if libs, err := libraries(ctx, path); err != nil || len(libs) > 0 {
		return fmt.Errorf("%s is not static %s", path, hint)
	}
	applets, err := output(ctx, "", path, "--list")
	if err != nil {
		return err
	}
	for _, a := range strings.Fields(applets) {
		t.link("usr/bin/"+a, "busybox")
	}
	t.copy("usr/bin/busybox", path, 0o755)
	t.link("usr/sbin/modprobe", "../bin/busybox") // where the kernel calls it, see /proc/sys/kernel/modprobe
	return nil
}

// addProgram packs a program of this host with its shared libraries.
func addProgram(ctx context.Context, t tree, name string) error {
	found, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("program for the guest: %w", err)
	}
	// Many are one program that looks at its name, as lvm, or mke2fs.
	file, err := filepath.EvalSymlinks(found)
	if err != nil {
		return err
	}
	st, err := os.Stat(file)
	if err != nil {
		return err
	}
	mode := uint32(st.Mode().Perm())
	if st.Mode()&os.ModeSetuid != 0 { // newuidmap is
		mode |= 0o4000
	}
	t.copy(inUsr(file), file, mode)
	if found = inUsr(found); found != inUsr(file) {
		t.link(found, "/"+inUsr(file))
	}
	libs, err := libraries(ctx, file)
	if err != nil {
		return err
	}
	for _, l := range libs {
		t.copy(inUsr(l), l, 0o755)
	}
	return nil
}

// inUsr is where a file of this host is in an archive whose /bin, /sbin and /lib
// are links into /usr.
func inUsr(file string) string {
	file = strings.TrimPrefix(file, "/")
	if strings.HasPrefix(file, "lib") || strings.HasPrefix(file, "bin/") || strings.HasPrefix(file, "sbin/") {
		return "usr/" + file
	}
	return file
}

// libraries lists the shared objects a program is started with, in an environment
// that has more than ours, none for a static one.
func libraries(ctx context.Context, path string, env ...string) ([]string, error) {
	cmd := exec.CommandContext(ctx, "ldd", path)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		if s := string(out); strings.Contains(s, "not a dynamic executable") {
			return nil, nil
		}
		return nil, fmt.Errorf("ldd %s: %w: %s", path, err, out)
	}
	return parseLdd(string(out)), nil
}

// parseLdd reads lines such as "libc.so.6 => /lib/…/libc.so.6 (0x…)" and
// "/lib64/ld-linux-x86-64.so.2 (0x…)"; the vDSO has no path.
func parseLdd(out string) []string {
	var libs []string
	for line := range strings.Lines(out) {
		for _, f := range strings.Fields(line) {
			if strings.HasPrefix(f, "/") {
				libs = append(libs, f)
			}
		}
	}
	return libs
}
