package block

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// NotFound says that a tool is not on this host.
type NotFound struct {
	Tool    string
	Package string // Debian's package that has it, "" where unknown
}

func (e *NotFound) Error() string {
	text := e.Tool + ": not found"
	if e.Package != "" {
		text += " (apt-get install " + e.Package + ")"
	}
	return text
}

// packages are Debian's.
var packages = map[string]string{
	"fuse-overlayfs": "fuse-overlayfs",
	"lvcreate":       "lvm2",
	"lvm":            "lvm2",
	"mkfs.btrfs":     "btrfs-progs",
	"mkfs.ext4":      "e2fsprogs",
	"mkfs.xfs":       "xfsprogs",
	"thin_delta":     "thin-provisioning-tools",
	"thin_dump":      "thin-provisioning-tools",
	"vgcreate":       "lvm2",
	"wipefs":         "util-linux",
	"zfs":            "zfsutils-linux zfs-dkms, or zfs-fuse",
	"zfs-fuse":       "zfs-fuse",
	"zpool":          "zfsutils-linux zfs-dkms, or zfs-fuse",
}

// Find gives the path of a tool, looked for in PATH and in the directories of
// the system's tools, which an ordinary user's PATH lacks. Its error is a
// [*NotFound].
func Find(tool string) (string, error) {
	if path, err := exec.LookPath(tool); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, tool)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", &NotFound{Tool: tool, Package: packages[tool]}
}

// Command runs a tool to its end and gives what it wrote to its standard
// output. An error carries what it wrote to standard error.
func Command(ctx context.Context, tool string, args ...string) ([]byte, error) {
	path, err := Find(tool)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(ctx, path, args...)
	command.Stdout, command.Stderr = &stdout, &stderr
	command.Env = append(os.Environ(), "LC_ALL=C") // messages are looked at, numbers are parsed
	if err := command.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = strings.TrimSpace(stdout.String())
		}
		return stdout.Bytes(), fmt.Errorf("%s %s: %w: %s", tool, strings.Join(args, " "), err, brief(said))
	}
	return stdout.Bytes(), nil
}

// brief keeps the first and the last line of what a tool had to say: what went
// wrong is in the one or in the other, and what followed from it between them.
func brief(said string) string {
	lines := strings.Split(said, "\n")
	if len(lines) < 3 {
		return strings.Join(lines, "; ")
	}
	return lines[0] + "; ...; " + lines[len(lines)-1]
}
