package kconfig

import (
	"bufio"
	"io"
	"path"
	"strings"
)

// Modules are the kernel modules of a release, as depmod indexed them, and
// what keeps them from being loaded. Names are written with underscores, as
// in /proc/modules.
type Modules struct {
	Files   map[string]string // path under /lib/modules/RELEASE, by name
	Builtin map[string]bool
	Loaded  map[string]bool
	Blocked map[string]string // why, by name: "blacklist" only stops loading by alias
	Sealed  string            // why no module can be loaded at all, "" if one can
}

// Availability of one module.
type Availability string

const (
	Builtin   Availability = "built in"
	Loaded    Availability = "loaded"
	Loadable  Availability = "available, not loaded"
	Forbidden Availability = "may not be loaded"
	Absent    Availability = "its file is not there"
)

// ModuleName folds the two ways of writing a module's name into one.
func ModuleName(s string) string { return strings.ReplaceAll(s, "-", "_") }

// Of says whether a module can be used, and why not. Nothing is loaded to
// find out.
func (m *Modules) Of(name string) (Availability, string) {
	name = ModuleName(name)
	switch {
	case m.Loaded[name]:
		return Loaded, ""
	case m.Builtin[name]:
		return Builtin, ""
	case m.Files[name] == "":
		return Absent, "modules.dep has no " + name
	case m.Sealed != "":
		return Forbidden, m.Sealed
	case m.Blocked[name] != "":
		return Forbidden, m.Blocked[name]
	}
	return Loadable, m.Files[name]
}

// ReadDep takes in modules.dep: "kernel/fs/overlayfs/overlay.ko.xz: deps".
func (m *Modules) ReadDep(r io.Reader) {
	if m.Files == nil {
		m.Files = map[string]string{}
	}
	eachLine(r, func(line string) {
		if file, _, ok := strings.Cut(line, ":"); ok {
			m.Files[nameOfFile(file)] = file
		}
	})
}

// ReadBuiltin takes in modules.builtin: one path a line.
func (m *Modules) ReadBuiltin(r io.Reader) {
	if m.Builtin == nil {
		m.Builtin = map[string]bool{}
	}
	eachLine(r, func(line string) { m.Builtin[nameOfFile(line)] = true })
}

// ReadLoaded takes in /proc/modules.
func (m *Modules) ReadLoaded(r io.Reader) {
	if m.Loaded == nil {
		m.Loaded = map[string]bool{}
	}
	eachLine(r, func(line string) {
		if f := strings.Fields(line); len(f) > 2 {
			m.Loaded[f[0]] = true
		}
	})
}

// ReadModprobe takes in a file of modprobe.d(5). "install NAME /bin/false"
// forbids a module; "blacklist NAME" only its aliases, so that the kernel's
// own request by that alias is refused, though modprobe NAME works.
func (m *Modules) ReadModprobe(r io.Reader, source string) {
	if m.Blocked == nil {
		m.Blocked = map[string]string{}
	}
	eachLine(r, func(line string) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 2 && f[0] == "blacklist":
			m.Blocked[ModuleName(f[1])] = "blacklisted in " + source
		case len(f) >= 3 && f[0] == "install" && (strings.HasSuffix(f[2], "/false") || strings.HasSuffix(f[2], "/true")):
			m.Blocked[ModuleName(f[1])] = "installed as " + f[2] + " in " + source
		}
	})
}

// ReadCmdline takes in the kernel's command line.
func (m *Modules) ReadCmdline(cmdline string) {
	if m.Blocked == nil {
		m.Blocked = map[string]string{}
	}
	for _, p := range strings.Fields(cmdline) {
		name, value, _ := strings.Cut(p, "=")
		switch name {
		case "nomodule":
			m.Sealed = "the kernel was booted with nomodule"
		case "module_blacklist", "modprobe.blacklist":
			for n := range strings.SplitSeq(value, ",") {
				m.Blocked[ModuleName(n)] = "blacklisted by " + name + "= on the kernel's command line"
			}
		}
	}
}

func nameOfFile(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return ModuleName(name)
}

func eachLine(r io.Reader, do func(string)) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 64<<10), 1<<20)
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" && !strings.HasPrefix(line, "#") {
			do(line)
		}
	}
}
