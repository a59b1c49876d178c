package vmtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// BuildOpenZFS adds OpenZFS's modules to a kernel that FetchKernel got, and
// gives the directory in which its tools and their libraries are, laid out as on
// a host. Debian has the modules as source only (zfs-dkms, in contrib: their
// licence is not the kernel's), so the first time they are compiled, which
// takes twenty minutes of a processor, make, and the kernel's compiler. Like
// FetchKernel it needs no privilege, and installs nothing here.
func BuildOpenZFS(ctx context.Context, k Kernel, release, flavour string) (tools string, err error) {
	dir, err := CachedKernel(release, flavour)
	if err != nil {
		return "", err
	}
	tools = filepath.Join(dir, "openzfs")
	modules := filepath.Join(k.Modules, "extra") // as dkms.conf(5) has it
	if _, err := os.Stat(modules); err == nil {
		return tools, nil
	}
	tmp, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := buildOpenZFS(ctx, tmp, release, k.Release); err != nil {
		return "", fmt.Errorf("build OpenZFS for kernel %s of Debian %s: %w", k.Release, release, err)
	}
	renamed := errors.Join(os.Rename(filepath.Join(tmp, "tools"), tools), os.Rename(filepath.Join(tmp, "modules"), modules))
	if _, err := os.Stat(modules); err != nil { // another process may have been faster
		return "", errors.Join(renamed, err)
	}
	return tools, nil
}

// buildOpenZFS leaves what is wanted in tmp/tools and tmp/modules.
func buildOpenZFS(ctx context.Context, tmp, release, kernel string) error {
	a, err := newArchive(ctx, tmp, release, "main contrib")
	if err != nil {
		return err
	}
	// Of what these depend on, this host has the rest.
	headers := "linux-headers-" + kernel
	for _, p := range []struct{ root, name, with string }{
		{"kernel", headers, "linux-headers-*"},
		{"kernel", headers, "linux-kbuild-*"},
		{"tools", "zfsutils-linux", "lib*linux"},
		{"source", "zfs-dkms", ""},
	} {
		with, err := a.depends(ctx, p.name, p.with)
		if err != nil {
			return fmt.Errorf("%w (hint: the archive has the headers of its latest kernel; remove the cached one to get that)", err)
		}
		if err := a.extract(ctx, p.root, append(with, p.name)...); err != nil {
			return err
		}
	}
	arch := filepath.Join(tmp, "kernel/usr/src", headers)
	common, err := relocate(filepath.Join(arch, "Makefile"), filepath.Join(tmp, "kernel"))
	if err != nil {
		return err
	}
	sources, err := filepath.Glob(filepath.Join(tmp, "source/usr/src/zfs-*"))
	if err != nil || len(sources) != 1 {
		return fmt.Errorf("source of OpenZFS in zfs-dkms: found %q, %v, want one", sources, err)
	}
	for _, step := range [][]string{
		{"./configure", "-q", "--with-config=kernel", "--with-linux=" + common, "--with-linux-obj=" + arch},
		{"make", "-s", "-j2"},
	} {
		if _, err := output(ctx, sources[0], step[0], step[1:]...); err != nil {
			return fmt.Errorf("%w (hint: apt-get install make, and the kernel's compiler: gcc-12 for bookworm)", err)
		}
	}
	return copyModules(ctx, filepath.Join(tmp, "modules"), filepath.Join(sources[0], "module"))
}

// relocate has a flavour's headers find those of all flavours, which they
// include from where both would be installed, below root, and says where.
func relocate(makefile, root string) (common string, err error) {
	text, err := os.ReadFile(makefile)
	if err != nil {
		return "", err
	}
	installed, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "include ")
	if !ok {
		return "", fmt.Errorf("%s: %q: want an include", makefile, text)
	}
	moved := filepath.Join(root, installed)
	return filepath.Dir(moved), os.WriteFile(makefile, []byte("include "+moved+"\n"), 0o644)
}

// copyModules leaves out what is for debuggers, nine tenths, as dkms does.
func copyModules(ctx context.Context, to, from string) error {
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".ko" {
			return err
		}
		_, err = output(ctx, to, "strip", "--strip-debug", "-o", d.Name(), file)
		return err
	})
}

// addOpenZFS packs the tools that BuildOpenZFS left in dir, with their
// libraries, of which most are this host's.
func addOpenZFS(ctx context.Context, t tree, dir string) error {
	for _, tool := range []string{"zpool", "zfs"} {
		file := filepath.Join(dir, "sbin", tool)
		t.copy("usr/sbin/"+tool, file, 0o755)
		libs, err := libraries(ctx, file, "LD_LIBRARY_PATH="+filepath.Join(dir, "lib/x86_64-linux-gnu"))
		if err != nil {
			return err
		}
		for _, l := range libs {
			t.copy(inUsr(strings.TrimPrefix(l, dir)), l, 0o755)
		}
	}
	return nil
}
