package vmtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plimsoll/internal/vmtest/guest"

	"github.com/google/go-cmp/cmp"
)

func TestFindKernel(t *testing.T) {
	root := t.TempDir()
	for _, f := range []string{
		"boot/vmlinuz-5.10.0-32-cloud-amd64", "lib/modules/5.10.0-32-cloud-amd64/kernel/x.ko",
		"boot/vmlinuz-6.1.0-50-cloud-amd64", "usr/lib/modules/6.1.0-50-cloud-amd64/kernel/x.ko",
		"boot/vmlinuz-6.12-without-modules",
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, f), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := FindKernel(root)
	if err != nil {
		t.Fatal(err)
	}
	want := Kernel{
		Release: "6.1.0-50-cloud-amd64",
		Image:   root + "/boot/vmlinuz-6.1.0-50-cloud-amd64",
		Modules: root + "/usr/lib/modules/6.1.0-50-cloud-amd64",
		Config:  root + "/boot/config-6.1.0-50-cloud-amd64",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := FindKernel(filepath.Join(root, "boot")); err == nil || !strings.Contains(err.Error(), "no kernel in "+root) {
		t.Errorf("empty directory: got error %v", err)
	}
}

// TestRelocate has headers include what was unpacked, and not what is installed.
func TestRelocate(t *testing.T) {
	root := t.TempDir()
	makefile := filepath.Join(root, "Makefile")
	if err := os.WriteFile(makefile, []byte("include /usr/src/linux-headers-6.1.0-50-common/Makefile\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	common, err := relocate(makefile, root)
	if want := root + "/usr/src/linux-headers-6.1.0-50-common"; err != nil || common != want {
		t.Errorf("got %q, %v, want %q", common, err, want)
	}
	got, err := os.ReadFile(makefile)
	if want := "include " + common + "/Makefile\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if err := os.WriteFile(makefile, []byte("all:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := relocate(makefile, root); err == nil {
		t.Error("a makefile that includes nothing was no error")
	}
}

func TestParseLdd(t *testing.T) {
	got := parseLdd(`	linux-vdso.so.1 (0x00007ffd4b5f2000)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f5f8a400000)
	/lib64/ld-linux-x86-64.so.2 (0x00007f5f8a7d5000)
`)
	want := []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestDecode reads the events of a guest that died in the middle of one.
func TestDecode(t *testing.T) {
	var got []guest.Event
	last, err := decode(strings.NewReader(`{"Kind":"start","Run":1}
{"Kind":"output","Run":1,"Data":"aGk="}
{"Kind":"exit","Ru`), func(e guest.Event) error { got = append(got, e); return nil })
	if err != nil || last != guest.Output {
		t.Errorf("got last event %q, %v", last, err)
	}
	want := []guest.Event{{Kind: guest.Start, Run: 1}, {Kind: guest.Output, Run: 1, Data: []byte("hi")}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := decode(strings.NewReader("qemu says"), nil); err == nil {
		t.Error("no error for what is no event")
	}
}

// TestCutShort has a machine die in the middle of a test: one must see in which.
func TestCutShort(t *testing.T) {
	var out strings.Builder
	r := reporter{
		ctx:    t.Context(),
		config: Config{Out: t.TempDir()},
		user:   "root",
		tests:  []testPackage{{Path: "plimsoll/p"}},
		stdout: &out,
	}
	for _, e := range []guest.Event{
		{Kind: guest.Start},
		{Kind: guest.Output, Data: []byte(marker + "=== RUN   TestA\n" + marker + "--- PASS: TestA (0.00s)\n")},
		{Kind: guest.Output, Data: []byte(marker + "=== RUN   TestB\nabout to upset the kernel\n")},
	} {
		if err := r.handle(e); err != nil {
			t.Fatal(err)
		}
	}
	r.cutShort()
	want := "=== RUN   TestB\nabout to upset the kernel\nthe virtual machine ended\n" +
		"FAIL\tplimsoll/p\t0.000s\tas root: 1 passed, 1 failed, 0 skipped\n"
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestJudge(t *testing.T) {
	got := judge([]testEvent{
		{Action: "start"},
		{Action: "run", Test: "TestA"}, {Action: "output", Test: "TestA", Output: "a\n"}, {Action: "pass", Test: "TestA"},
		{Action: "run", Test: "TestB"}, {Action: "output", Test: "TestB", Output: "b\n"}, {Action: "fail", Test: "TestB"},
		{Action: "run", Test: "TestC"}, {Action: "skip", Test: "TestC"},
		{Action: "run", Test: "TestD"}, {Action: "output", Test: "TestD", Output: "d\n"},
		{Action: "output", Output: "exit status 2\n"}, {Action: "fail"},
	})
	want := verdict{pass: 1, fail: 2, skip: 1, log: "b\nd\nexit status 2\n"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
