package local

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"plimsoll/runner/runtimes"
	"plimsoll/runner/workloads/probe"
)

// Paths inside the image.
const (
	probePath    = "/probe"
	workloadPath = "/workload"
)

// makeImage makes the directory that every container has as its root, and
// bare processes take their program from: so inside and outside run the same
// file. It holds a copy of this program, not the program itself, which a
// container could overwrite through /proc (CVE-2019-5736).
func makeImage(dir, self string) (runtimes.Image, error) {
	image := runtimes.Image{Dir: dir, Probe: probePath}
	for _, d := range []string{"", "proc", "sys", "dev", "data", "tmp", "etc"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return image, fmt.Errorf("make the image: %w", err)
		}
	}
	if err := os.WriteFile(dir+probePath, probe.ELF(), 0o555); err != nil {
		return image, fmt.Errorf("make the image: %w", err)
	}
	if err := copyFile(dir+workloadPath, self); err != nil {
		return image, fmt.Errorf("make the image: %w", err)
	}
	if err := copyLibraries(dir, self); err != nil {
		return image, fmt.Errorf("make the image: libraries of %s: %w", self, err)
	}
	return image, nil
}

// copyLibraries puts the loader and the C libraries into the image, where
// this program needs them: "go build" links package net with libc wherever it
// finds a C compiler.
func copyLibraries(dir, self string) error {
	program, err := elf.Open(self)
	if err != nil {
		return err
	}
	defer program.Close()
	interpreter := program.Section(".interp")
	if interpreter == nil {
		return nil // static
	}
	loader, err := interpreter.Data()
	if err != nil {
		return err
	}
	names, err := program.ImportedLibraries()
	if err != nil {
		return err
	}
	files := []string{strings.TrimRight(string(loader), "\x00")}
	for _, name := range names {
		i := slices.IndexFunc(libraryDirs, func(in string) bool {
			found, _ := filepath.Glob(filepath.Join(in, name))
			if len(found) > 0 {
				files = append(files, found[0])
			}
			return len(found) > 0
		})
		if i < 0 {
			return fmt.Errorf("%s: in none of %s (build with CGO_ENABLED=0, which needs none)", name, strings.Join(libraryDirs, ", "))
		}
	}
	for _, file := range files {
		if err := os.MkdirAll(filepath.Dir(dir+file), 0o755); err != nil {
			return err
		}
		if err := copyFile(dir+file, file); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// libraryDirs is where distributions of 64-bit machines keep libc.
var libraryDirs = []string{"/lib/*-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o555)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return out.Close()
}

// evict drops the files of the image from the page cache: what a cold start
// reads from the disk again. Only our own files are touched, not the host's
// whole cache.
func evict(image runtimes.Image) error {
	for _, path := range []string{probePath, workloadPath} {
		f, err := os.Open(image.Dir + path)
		if err != nil {
			return fmt.Errorf("make the cache cold: %w", err)
		}
		// Dirty pages stay: they are written first.
		err = unix.Fdatasync(int(f.Fd()))
		if err == nil {
			err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		}
		f.Close()
		if err != nil {
			return fmt.Errorf("make the cache cold: %s: %w", path, err)
		}
	}
	return nil
}
