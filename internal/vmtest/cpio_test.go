package vmtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCpioReadBack has busybox read what we write.
func TestCpioReadBack(t *testing.T) {
	if _, err := exec.LookPath("busybox"); err != nil {
		t.Skip(err)
	}
	from := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(from, []byte("#!"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr := tree{}
	tr.text("etc/a", "one")
	tr.text("etc/b", "four")
	tr.text("etc/c", "")
	tr.copy("usr/bin/d", from, 0o4755)
	tr.link("bin", "usr/bin")
	tr.dir("root", 0o700)
	var b bytes.Buffer
	if err := tr.writeCpio(&b); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command("busybox", "cpio", "-idv")
	cmd.Dir, cmd.Stdin = dir, &b
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := "bin etc etc/a etc/b etc/c root usr usr/bin usr/bin/d"
	if got := strings.Join(strings.Fields(string(out)), " "); !strings.HasPrefix(got, want) {
		t.Errorf("unpacked %q, want %q", got, want)
	}
	for name, want := range map[string]string{"etc/a": "one", "etc/b": "four", "etc/c": "", "bin/d": "#!"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	if st, err := os.Stat(filepath.Join(dir, "bin/d")); err != nil || st.Mode() != 0o755|os.ModeSetuid {
		t.Errorf("bin/d: mode %v, %v", st.Mode(), err)
	}
	if st, err := os.Stat(filepath.Join(dir, "root")); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("root: mode %v, %v", st.Mode(), err)
	}
}

func TestCpioEntry(t *testing.T) {
	var b strings.Builder
	if err := writeEntry(&b, 1, "a/b", entry{mode: typeFile | 0o644, uid: 1000, data: "hello"}); err != nil {
		t.Fatal(err)
	}
	want := "070701" + "00000001" + "000081a4" + "000003e8" + "000003e8" + "00000001" + "00000000" + "00000005" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000004" + "00000000" + "a/b\x00\x00\x00" + "hello\x00\x00\x00"
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("entry (-want +got):\n%s", d)
	}
}
