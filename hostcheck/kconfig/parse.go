package kconfig

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

// Config is one kernel's configuration.
type Config struct {
	Version Version           // of the header, or as told; may be unknown
	Arch    string            // Kconfig's name: "x86", "arm64", ...; may be ""
	Values  map[string]string // by name without CONFIG_; "n" where "is not set"; strings without quotes
	Source  string            // where it was read

	// Whole says that the text has the shape of a complete .config: a header,
	// menus, all closed. Otherwise what is missing may be a default.
	Whole bool
}

// Value is an option's value: "y", "m", "n", a number or a string; "" where
// the configuration does not mention it, which for Kconfig means that its
// dependencies are not met, or that the release does not have it.
func (c *Config) Value(name string) string { return c.Values[name] }

// On reports whether the option is built in or a module.
func (c *Config) On(name string) bool { v := c.Values[name]; return v == "y" || v == "m" }

// ParseError says where a text is not a configuration.
type ParseError struct {
	Line int
	Text string // what is wrong
}

func (e *ParseError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

const (
	maxLine = 64 << 10
	maxSize = 16 << 20
)

// Parse reads a .config. It is strict, since a wrong answer is worse than
// none: a line that is neither a setting, "# CONFIG_X is not set", a comment
// nor empty makes the text unreadable, and so does a text that was cut short.
// Of a name set twice the last counts, as in scripts/kconfig/confdata.c.
func Parse(text []byte) (*Config, error) {
	if len(text) > maxSize {
		return nil, &ParseError{1, fmt.Sprintf("%d bytes are too many for a kernel configuration", len(text))}
	}
	c := &Config{Values: make(map[string]string, bytes.Count(text, []byte("\n")))}
	var shape outline
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, terminated := strings.CutSuffix(line, "\n")
		line = strings.TrimSuffix(line, "\r")
		if len(line) > maxLine {
			return nil, &ParseError{number, "too long for a kernel configuration"}
		}
		if !terminated {
			return nil, &ParseError{number, "the text ends within a line: it was cut short"}
		}
		if err := c.line(line, &shape); err != "" {
			return nil, &ParseError{number, err}
		}
	}
	if len(c.Values) == 0 {
		return nil, &ParseError{number, "no CONFIG_ line: not a kernel configuration"}
	}
	if open := shape.open(); open != "" {
		return nil, &ParseError{number, fmt.Sprintf("the text ends within the menu %q: it was cut short", open)}
	}
	c.Whole = shape.whole()
	if c.Arch == "" {
		c.Arch = c.guessArch()
	}
	return c, nil
}

// line takes one line in, and says what is wrong with it.
func (c *Config) line(line string, shape *outline) string {
	switch {
	case line == "":
		shape.comment("")
		return ""
	case strings.HasPrefix(line, "CONFIG_"):
		name, value, ok := strings.Cut(line[len("CONFIG_"):], "=")
		if !ok || !isName(name) {
			return fmt.Sprintf("%.80q is no setting of the form CONFIG_NAME=value", line)
		}
		value, ok = unquote(value)
		if !ok {
			return fmt.Sprintf("CONFIG_%s has the value %.80q, which is neither y, m, n, a number nor a quoted string", name, value)
		}
		c.Values[name] = value
		shape.setting()
		return ""
	case strings.HasPrefix(line, "#"):
		// Only this exact form says anything: "# CONFIG_X=y" is a comment.
		if rest, ok := strings.CutPrefix(line, "# CONFIG_"); ok {
			if name, ok := strings.CutSuffix(rest, " is not set"); ok && isName(name) {
				c.Values[name] = "n"
				shape.setting()
				return ""
			}
		}
		c.header(line)
		shape.comment(line)
		return ""
	}
	return fmt.Sprintf("%.80q is neither a setting nor a comment", line)
}

// header takes the architecture and release from "# Linux/x86 6.1.0 Kernel
// Configuration". Before 2.6.39 it read "# Linux kernel version: 2.6.38".
func (c *Config) header(line string) {
	rest, ok := strings.CutPrefix(line, "# Linux/")
	if !ok || c.Version.Known() {
		return
	}
	arch, rest, ok := strings.Cut(rest, " ")
	release, ok2 := strings.CutSuffix(rest, " Kernel Configuration")
	if !ok || !ok2 {
		return
	}
	if v, err := ParseVersion(release); err == nil {
		c.Version, c.Arch = v, kernelArch(arch)
	}
}

// kernelArch folds the names that one architecture goes by into the name of
// its directory under arch/.
func kernelArch(name string) string {
	switch name {
	case "x86_64", "i386", "i486", "i586", "i686", "amd64":
		return "x86"
	case "aarch64":
		return "arm64"
	}
	return name
}

func (c *Config) guessArch() string {
	for _, a := range []string{"X86", "ARM64", "ARM", "RISCV", "S390", "PPC", "MIPS", "LOONGARCH"} {
		if c.On(a) {
			return strings.ToLower(a)
		}
	}
	return ""
}

func isName(s string) bool {
	for _, r := range s {
		if r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

// unquote checks a value: y, m, n, a decimal or hexadecimal number, or a
// string in quotes, in which a backslash escapes.
func unquote(v string) (string, bool) {
	switch {
	case v == "y" || v == "m" || v == "n":
		return v, true
	case strings.HasPrefix(v, `"`):
		var b strings.Builder
		for i := 1; i < len(v); i++ {
			switch {
			case v[i] == '\\' && i+1 < len(v):
				i++
				b.WriteByte(v[i])
			case v[i] == '"':
				return b.String(), i == len(v)-1
			default:
				b.WriteByte(v[i])
			}
		}
		return v, false
	}
	digits := strings.TrimPrefix(v, "-")
	hex := strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0X")
	if hex {
		digits = digits[2:]
	}
	for _, r := range digits {
		isHex := hex && (r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F')
		if (r < '0' || r > '9') && !isHex {
			return v, false
		}
	}
	// An empty number is what Kconfig writes for an int with no default.
	return v, digits != "" || v == ""
}

// outline follows the menus of a generated .config, to see whether it was cut
// short. A menu is announced by its title between two lines of "#", and since
// Linux 5.4 closed by "# end of TITLE"; "comment" entries look like menus but
// are never closed, so an open one counts only if another of its kind closed.
type outline struct {
	last     [2]string // comment lines before this one
	menus    []string  // announced and not closed
	closed   int
	settings int
	seen     map[string]bool // titles that ended it all
}

func (o *outline) setting() { o.settings++; o.last = [2]string{} }

func (o *outline) comment(line string) {
	if title, ok := strings.CutPrefix(line, "# end of "); ok {
		o.closed++
		for i := len(o.menus) - 1; i >= 0; i-- {
			if o.menus[i] == title {
				o.menus = o.menus[:i]
				break
			}
		}
	}
	if line == "#" && o.last[1] == "#" && strings.HasPrefix(o.last[0], "# ") {
		title := strings.TrimPrefix(o.last[0], "# ")
		if !strings.HasPrefix(title, "Automatically generated") && !strings.HasSuffix(title, "Kernel Configuration") {
			o.menus = append(o.menus, title)
			if o.seen == nil {
				o.seen = map[string]bool{}
			}
			o.seen[title] = true
		}
	}
	o.last = [2]string{line, o.last[0]}
}

// lastMenus are those whose end is the end of a .config: "Kernel hacking"
// since 4.19, "Library routines" before (arch/*/Kconfig, Kconfig).
var lastMenus = []string{"Kernel hacking", "Library routines"}

// open names the menu a text was cut in, "" if it was not, or if that cannot
// be told: a hand-made list of options has no menus.
func (o *outline) open() string {
	if len(o.seen) == 0 {
		return ""
	}
	if o.closed > 0 {
		for _, m := range o.menus {
			if topMenus[m] {
				return m
			}
		}
	}
	for _, last := range lastMenus {
		if !o.seen[last] {
			return cmp.Or(o.lastMenu(), last)
		}
	}
	return ""
}

func (o *outline) lastMenu() string {
	if len(o.menus) == 0 {
		return ""
	}
	return o.menus[len(o.menus)-1]
}

// topMenus are menus, never mere comments, in every release since 5.4.
var topMenus = map[string]bool{
	"General setup": true, "Processor type and features": true, "Kernel Features": true, "Device Drivers": true,
	"Networking options": true, "File systems": true, "Security options": true, "Library routines": true,
	"Kernel hacking": true, "Power management and ACPI options": true, "Memory Management options": true,
	"Core Netfilter Configuration": true, "IP: Netfilter Configuration": true, "Executable file formats": true,
	"Kernel Testing and Coverage": true, "SCSI device support": true, "Network device support": true,
}

func (o *outline) whole() bool { return len(o.seen) > 0 && o.settings > 500 }
