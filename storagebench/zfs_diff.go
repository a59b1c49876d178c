package storagebench

import (
	"fmt"
	"strconv"
	"strings"
)

// zfsCandidates reads what "zfs diff -H" writes, zfs-diff(8): lines of fields
// with tabs between, what happened ("M", "+", "-", "R") and a path, for "R" two.
// Paths are below one of the mount points. What is below a renamed directory
// is not mentioned: its paths end in a slash, see tree.ComparePaths.
func zfsCandidates(out string, mountPoints ...string) ([]string, error) {
	var paths []string
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		fields := strings.Split(line, "\t")
		named, slash := 1, ""
		switch fields[0] {
		case "M", "+", "-":
		case "R":
			named, slash = 2, "/"
		default:
			return nil, fmt.Errorf("zfs diff: %q: not one of M, +, -, R", line)
		}
		if len(fields) < 1+named {
			return nil, fmt.Errorf("zfs diff: %q: too few fields", line)
		}
		for _, field := range fields[1 : 1+named] {
			path, err := zfsUnescape(field)
			if err != nil {
				return nil, fmt.Errorf("zfs diff: %q: %w", line, err)
			}
			inside, err := below(path, mountPoints)
			if err != nil {
				return nil, fmt.Errorf("zfs diff: %w", err)
			}
			paths = append(paths, inside+slash)
		}
	}
	return paths, nil
}

// zfsUnescape undoes what stream_bytes in OpenZFS's libzfs_diff.c does to all
// but printable ASCII: a backslash, and the byte in four octal digits.
func zfsUnescape(s string) (string, error) {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(s, `\`)
		b.WriteString(plain)
		if !found {
			return b.String(), nil
		}
		if len(rest) < 4 {
			return "", fmt.Errorf("four octal digits are expected after a backslash")
		}
		c, err := strconv.ParseUint(rest[:4], 8, 8)
		if err != nil {
			return "", err
		}
		b.WriteByte(byte(c))
		s = rest[4:]
	}
}

func below(path string, roots []string) (string, error) {
	for _, root := range roots {
		if path == root {
			return "/", nil
		}
		if inside, ok := strings.CutPrefix(path, root+"/"); ok {
			return "/" + inside, nil
		}
	}
	return "", fmt.Errorf("%s is not below %s", path, strings.Join(roots, " or "))
}
