package vmtest

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// archive is Debian's, of one release. apt works in a state directory of its
// own, and neither the configuration nor the packages of this machine change.
type archive struct{ dir string }

// newArchive fetches the lists of packages into dir.
func newArchive(ctx context.Context, dir, release, components string) (archive, error) {
	a := archive{dir}
	sources := fmt.Sprintf("deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian %s %s\n", release, components)
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(sources), 0o644); err != nil {
		return a, err
	}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "preferences.d"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return a, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "status"), nil, 0o644); err != nil { // nothing is installed
		return a, err
	}
	_, err := a.apt(ctx, "apt-get", "update", "-o", "APT::Update::Error-Mode=any")
	return a, err
}

func (a archive) apt(ctx context.Context, program string, args ...string) (string, error) {
	return output(ctx, a.dir, program, append([]string{
		"-qq",
		"-o", "Dir::State=" + a.dir + "/state",
		"-o", "Dir::State::status=" + a.dir + "/status",
		"-o", "Dir::Cache=" + a.dir + "/cache",
		"-o", "Dir::Etc=" + a.dir,
		"-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "APT::Architecture=amd64",
		"-o", "APT::Sandbox::User=", // its user could not write into our directory
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
	}, args...)...)
}

// depends lists those of the packages that a package depends on whose names
// match a pattern (path.Match).
func (a archive) depends(ctx context.Context, name, pattern string) ([]string, error) {
	out, err := a.apt(ctx, "apt-cache", "depends", name)
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(out) {
		_, d, ok := strings.Cut(strings.TrimSpace(line), "Depends: ")
		match, err := path.Match(pattern, d)
		if err != nil {
			return nil, err
		}
		if ok && match {
			names = append(names, d)
		}
	}
	return names, nil
}

// extract downloads packages and unpacks them into root, a directory in that
// of the archive.
func (a archive) extract(ctx context.Context, root string, packages ...string) error {
	if _, err := a.apt(ctx, "apt-get", append([]string{"download"}, packages...)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(a.dir, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if _, err := output(ctx, a.dir, "dpkg-deb", "-x", deb, root); err != nil {
			return err
		}
		if err := os.Remove(deb); err != nil {
			return err
		}
	}
	return nil
}
