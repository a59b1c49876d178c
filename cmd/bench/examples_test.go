package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestExamples runs every example of every command's help and of the README,
// bench run as a dry run: neither can rot.
func TestExamples(t *testing.T) {
	need(t, "linux")
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "results"), os.DirFS("testdata/journals")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"mine.yaml": "rounds: 1\n",
		"my-runc":   "#!/bin/sh\nexit 1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var examples []string
	walk(newRoot(streams{}), func(cmd *cobra.Command) {
		if cmd.Example == "" && cmd.Runnable() && cmd.HasParent() && !generated(cmd) {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		examples = append(examples, strings.Split(cmd.Example, "\n")...)
	})
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(readme)) {
		if code, ok := strings.CutPrefix(line, "    "); ok && strings.Contains(code, "./bench ") && !strings.Contains(code, "&&") {
			examples = append(examples, strings.Replace(code, "./bench ", "bench ", 1))
		}
	}
	done := 0
	for _, line := range examples {
		line, _, _ = strings.Cut(line, "  #")
		line = strings.TrimPrefix(strings.TrimSpace(line), "sudo ")
		if line == "" || strings.Contains(line, "--resume") {
			continue // the fixture was made by another build: see the scripts
		}
		line = strings.ReplaceAll(line, "--work-dir /data", "--work-dir "+dir)
		if strings.HasPrefix(line+" ", "bench run ") && !strings.Contains(line, "--dry-run") {
			line += " --dry-run"
		}
		done++
		shell := exec.Command("sh", "-c", line)
		shell.Dir = dir
		shell.Env = append(environ(), "PATH="+built+":"+os.Getenv("PATH"), "XDG_STATE_HOME="+dir)
		out, err := shell.CombinedOutput()
		status := shell.ProcessState.ExitCode()
		if cannot := status == statusUnable && strings.Contains(string(out), "you named"); err != nil && !cannot {
			t.Errorf("$ %s\n%sexit status %d", line, out, status)
		}
	}
	if done < 20 {
		t.Errorf("only %d examples", done)
	}
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

// generated reports whether cobra made the command.
func generated(cmd *cobra.Command) bool {
	return strings.Contains(cmd.CommandPath(), " completion") || cmd.Name() == "help" || strings.HasSuffix(cmd.CommandPath(), "schema")
}
