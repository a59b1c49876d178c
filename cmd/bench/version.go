package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"plimsoll/runner"
)

// release is set for a release: -ldflags "-X main.release=v1.0.0".
var release string

func newVersion(s streams) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Long: `Version prints which build of the program this is. The hash is that of the
executable: it is in every journal, and a run is resumed only by the build that
began it.`,
		Example: `  bench version
  bench version --format json`,
		RunE: func(*cobra.Command, []string) error {
			if err := formatOf(format, "text", "json"); err != nil {
				return err
			}
			tool, err := thisTool()
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(s.out, struct {
					Schema int `json:"schema"`
					runner.Tool
				}{schema, tool})
			}
			_, err = fmt.Fprintf(s.out, "%s %s, %s %s, sha256 %s\n", tool.Name, tool.Version, tool.Go, tool.Arch, tool.Hash)
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "`FORMAT` of the output: text or json")
	return cmd
}

// thisTool describes this program for journals.
func thisTool() (runner.Tool, error) {
	t := runner.Tool{Name: "bench", Version: version(), Go: runtime.Version(), Arch: runtime.GOARCH}
	path, err := os.Executable()
	if err != nil {
		return t, fmt.Errorf("hash of this program: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return t, fmt.Errorf("hash of this program: %w", err)
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return t, fmt.Errorf("hash of this program: %w", err)
	}
	t.Hash = hex.EncodeToString(hash.Sum(nil))
	return t, nil
}

func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// schema is the version of what --format json prints: it changes when a field
// goes or changes its meaning. Reports have their own.
const schema = 1

// writeJSON writes v as one indented JSON value.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
