package storagebench

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestZFSCandidates(t *testing.T) {
	for _, test := range []struct {
		name, out string
		want      []string
		wrong     string
	}{
		{name: "nothing"},
		{
			name: "all kinds",
			out: "M\t/p/clone-1/\nM\t/p/clone-1/etc/\nM\t/p/clone-1/etc/passwd\n-\t/p/clone-1/etc/motd\n" +
				"+\t/p/clone-1/new\nR\t/p/clone-1/old\\0040name\t/p/clone-1/dir\nM\t/p/clone-1/link\t(+1)\n",
			want: []string{"/", "/etc/", "/etc/passwd", "/etc/motd", "/new", "/old name/", "/dir/", "/link"},
		},
		{name: "bytes", out: "+\t/p/clone-1/\\0134\\0303\\0274\\0011x\n", want: []string{"/\\ü\tx"}},
		{name: "a neighbour's", out: "M\t/p/clone-10/x\n", wrong: "is not below /p/clone-1"},
		{name: "an unknown letter", out: "X\t/p/clone-1/x\n", wrong: "not one of"},
		{name: "half a rename", out: "R\t/p/clone-1/x\n", wrong: "too few"},
		{name: "half an escape", out: "M\t/p/clone-1/\\004\n", wrong: "octal"},
		{name: "no byte", out: "M\t/p/clone-1/\\0777\n", wrong: "range"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := zfsCandidates(test.out, "/p/clone-1", "/p/image")
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("%v, and %v; %q is expected", got, err, test.wrong)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

// Any name that a file can have is read back from what zfs diff makes of it.
func FuzzZFSCandidates(f *testing.F) {
	f.Add("a b\tc\n\\0040\xff", "M\t/p/x\\0040\n")
	f.Fuzz(func(t *testing.T, name, out string) {
		zfsCandidates(out, "/p") // whatever it says, it ends
		name = strings.Trim(strings.ReplaceAll(name, "\x00", ""), "/")
		if name == "" {
			return
		}
		var escaped strings.Builder
		for i := range len(name) {
			if c := name[i]; c > ' ' && c != '\\' && c < 0o177 {
				escaped.WriteByte(c)
			} else {
				fmt.Fprintf(&escaped, "\\%04o", c)
			}
		}
		got, err := zfsCandidates("+\t/p/"+escaped.String()+"\n", "/p")
		if diff := cmp.Diff([]string{"/" + name}, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	})
}
