package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Kernel is a kernel that can be booted, with its modules.
type Kernel struct {
	Release string // as uname -r gives it
	Image   string // path of the bzImage
	Modules string // the directory of its modules
	Config  string // its configuration, which need not be there
}

// guestModules is where the modules of the kernel are in the guest.
func (k Kernel) guestModules() string { return "usr/lib/modules/" + k.Release + "/" }

// builtIn reports whether a module is part of the kernel's image, as its package
// says (modules.builtin, see Documentation/kbuild/kbuild.rst).
func (k Kernel) builtIn(name string) bool {
	b, err := os.ReadFile(filepath.Join(k.Modules, "modules.builtin"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if moduleName(line) == moduleName(name) {
			return true
		}
	}
	return false
}

// FindKernel finds the kernel below root, the last by name of several, laid out as on any host or in an
// extracted package: boot/vmlinuz-RELEASE and lib/modules/RELEASE.
func FindKernel(root string) (Kernel, error) {
	images, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil {
		return Kernel{}, err
	}
	slices.Sort(images)
	for _, image := range slices.Backward(images) {
		release := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
		for _, lib := range []string{"usr/lib", "lib"} {
			modules := filepath.Join(root, lib, "modules", release)
			if _, err := os.Stat(filepath.Join(modules, "kernel")); err == nil {
				config := filepath.Join(root, "boot", "config-"+release)
				return Kernel{Release: release, Image: image, Modules: modules, Config: config}, nil
			}
		}
	}
	return Kernel{}, fmt.Errorf("no kernel in %s: want boot/vmlinuz-RELEASE and lib/modules/RELEASE", root)
}

// CachedKernel is where FetchKernel keeps a kernel.
func CachedKernel(release, flavour string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "plimsoll", "vmtest", "kernel-"+release+"-"+flavour), nil
}

// FetchKernel returns the kernel of a Debian release ("bookworm") and flavour
// ("cloud" or "generic"), downloading it with apt the first time, 20 to 100 MB.
// It needs apt-get and dpkg-deb, but no privilege: apt works in a state directory
// of its own, and neither the configuration nor the packages of this machine
// change. To have a newer one, remove the directory CachedKernel names.
func FetchKernel(ctx context.Context, release, flavour string) (Kernel, error) {
	dir, err := CachedKernel(release, flavour)
	if err != nil {
		return Kernel{}, err
	}
	if k, err := FindKernel(dir); err == nil {
		return k, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return Kernel{}, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "fetch-")
	if err != nil {
		return Kernel{}, err
	}
	defer os.RemoveAll(tmp)
	if err := download(ctx, tmp, release, flavour); err != nil {
		return Kernel{}, fmt.Errorf("fetch the kernel of Debian %s: %w (hint: -kernel DIR takes one that is there)", release, err)
	}
	renamed := os.Rename(filepath.Join(tmp, "root"), dir)
	k, err := FindKernel(dir) // another process may have been faster
	if err != nil {
		return Kernel{}, errors.Join(renamed, err)
	}
	return k, nil
}

// download leaves the extracted package in tmp/root.
func download(ctx context.Context, tmp, release, flavour string) error {
	a, err := newArchive(ctx, tmp, release, "main")
	if err != nil {
		return err
	}
	meta := map[string]string{"cloud": "linux-image-cloud-amd64", "generic": "linux-image-amd64"}[flavour]
	if meta == "" {
		return fmt.Errorf("unknown kernel flavour %q: cloud or generic", flavour)
	}
	// The metapackage depends on the package of the current version.
	depends, err := a.depends(ctx, meta, "linux-image-*")
	if err != nil {
		return err
	}
	if len(depends) == 0 {
		return fmt.Errorf("package %s depends on no kernel", meta)
	}
	return a.extract(ctx, "root", depends[0])
}

// output runs a program in dir; its error ends with what the program said. With
// the context ends all that it has started, as make does compilers.
func output(ctx context.Context, dir, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
