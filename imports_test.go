package plimsoll

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport says which packages of this module a package may import, itself
// and what is below it aside: see ARCHITECTURE.md. What measures and what
// judges meet in a file and nowhere else, and no package looks upward.
var mayImport = map[string][]string{
	"profiles":         nil,
	"isolate":          nil,
	"storagebench":     nil,
	"hostcheck":        nil,
	"reports/stat":     nil,
	"internal/vmtest":  nil,
	"runner":           {"profiles"},
	"runner/workloads": {"profiles", "runner"},
	"runner/runtimes":  {"profiles", "isolate", "runner/workloads"},
	"runner/local":     {"profiles", "runner", "runner/runtimes", "runner/workloads", "isolate", "storagebench", "hostcheck"},
	"runner/remote":    {"profiles", "runner"},
	"reports":          {"profiles", "runner", "reports/stat"},
	"cmd/bench":        {"profiles", "runner", "runner/workloads", "runner/local", "runner/remote", "reports", "hostcheck"},
	"cmd/checkconfig":  {"hostcheck"},
}

func TestImportsRunDownward(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && file != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || filepath.Dir(file) == "." {
			return nil
		}
		pkg := rule(filepath.ToSlash(filepath.Dir(file)))
		allowed, ok := mayImport[pkg]
		if !ok {
			t.Errorf("%s: no rule says what its package may import", file)
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range tree.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imported, ours := strings.CutPrefix(name, "plimsoll/")
			if !ours {
				continue
			}
			checked++
			if to := rule(imported); to != pkg && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s, which %s may not", file, name, pkg)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 20 {
		t.Errorf("only %d imports were looked at", checked)
	}
}

// rule is the nearest package above, or the package itself, that has one.
func rule(pkg string) string {
	for at := pkg; at != "."; at = path.Dir(at) {
		if _, ok := mayImport[at]; ok {
			return at
		}
	}
	return pkg
}
