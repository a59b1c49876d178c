package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"plimsoll/profiles"
)

// runOptions are what bench run is asked to do.
type runOptions struct {
	profile  string
	dirs     []string
	runtimes []string
	rounds   string // as written: profiles judge the value
	seed     string
	set      []string
	require  []string

	out    string
	resume string
	force  bool
	dryRun bool
	format string
	quiet  bool
}

func newRun(s streams) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [PROFILE]",
		Short: "Measure what a container costs on this host",
		Long: `Run measures, on this host, what a container costs against a bare process, as
the PROFILE says: a built-in's name (quick, by default), or a YAML file. It
keeps every sample in DIR/samples.jsonl as it is taken, prints a summary, and
writes it to DIR/summary.txt and, with the distributions, to DIR/report.html.

As root it measures everything. Any other user gets what the kernel allows
them; the rest is skipped, each cell with its reason and what to do.

Ctrl-C stops the run, removes what it made and keeps the samples; --resume goes
on where it stopped. So it does after a crash or a kill.`,
		Example: `  sudo bench run                                        # the profile quick
  sudo bench run overhead --out results/wednesday
  sudo bench run mine.yaml --rounds 8
  sudo bench run --runtime isolate --runtime pr=oci:./my-runc
  sudo bench run startup --set factors.fleet=[1,8] --set limits.small.cpu=2
  sudo bench run --require "startup/runc" --quiet --format json
  sudo bench run startup --work-dir /data --work-dir /var/tmp  # on two file systems
  bench run overhead --dry-run                          # only show the plan
  sudo bench run --resume results/wednesday`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeProfile,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.profile = args[0]
			}
			if err := o.check(); err != nil {
				return err
			}
			return measure(cmd.Context(), o, s)
		},
	}
	o.flags(cmd.Flags())
	cmd.RegisterFlagCompletionFunc("runtime", completeRuntime)
	cmd.RegisterFlagCompletionFunc("require", completeCell)
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.MarkFlagDirname("out")
	cmd.MarkFlagDirname("work-dir")
	cmd.MarkFlagDirname("resume")
	return cmd
}

func (o *runOptions) flags(f *pflag.FlagSet) {
	f.SortFlags = false
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "dir" { // its first name, which commands in journals have
			name = "work-dir"
		}
		return pflag.NormalizedName(name)
	})
	f.StringVar(&o.out, "out", "", "`DIR` for the journal and the reports (default results/TIME-PROFILE)")
	f.StringArrayVar(&o.dirs, "work-dir", nil, "`DIR` on a file system to measure on (default /var/tmp); may be repeated")
	f.StringArrayVar(&o.runtimes, "runtime", nil, "`NAME`, or NAME=oci:PATH, to measure in place of the profile's; bare always runs; may be repeated")
	f.StringVar(&o.rounds, "rounds", "", "`N` repetitions of the whole design")
	f.StringArrayVar(&o.set, "set", nil, "`PATH.TO.KEY=VALUE` of the profile to change; may be repeated")
	f.StringArrayVar(&o.require, "require", nil, "`CELL` that must run, such as \"startup/runc limits=small\": exit 3 where it cannot; may be repeated")
	f.StringVar(&o.seed, "seed", "", "`N` from which the order of the trials is drawn (default: any, logged)")
	f.StringVar(&o.resume, "resume", "", "`DIR` of a run to go on with, with its own profile and seed")
	f.BoolVar(&o.force, "force", false, "resume on another host or kernel too")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the plan, measure nothing")
	f.StringVar(&o.format, "format", "text", "`FORMAT` of what is printed: text or json")
	f.BoolVar(&o.quiet, "quiet", false, "no progress and no notes, only the summary")
}

// check refuses what cannot be meant together.
func (o runOptions) check() error {
	if err := formatOf(o.format, "text", "json"); err != nil {
		return err
	}
	if o.resume == "" {
		if o.force {
			return usageError("--force belongs to --resume")
		}
		return nil
	}
	for _, other := range []struct {
		name  string
		given bool
	}{
		{"a PROFILE", o.profile != ""}, {"--out", o.out != ""}, {"--work-dir", len(o.dirs) > 0}, {"--runtime", len(o.runtimes) > 0},
		{"--rounds", o.rounds != ""}, {"--set", len(o.set) > 0}, {"--require", len(o.require) > 0}, {"--seed", o.seed != ""},
	} {
		if other.given {
			return usageError("--resume goes on with the run as it was begun: leave %s out", other.name)
		}
	}
	return nil
}

// overrides are the flags as changes to a profile.
func (o runOptions) overrides(environ []string) (profiles.Overrides, error) {
	over := profiles.Overrides{Environ: environ}
	set := func(flag, path, value string) {
		if value != "" {
			over.Set = append(over.Set, profiles.Setting{From: flag, Path: path, Value: value})
		}
	}
	dirs := make([]string, len(o.dirs))
	for i, dir := range o.dirs {
		var err error
		if dirs[i], err = filepath.Abs(dir); err != nil {
			return over, usageError("--work-dir %s: %w", dir, err)
		}
	}
	levels, err := runtimeLevels(o.runtimes)
	if err != nil {
		return over, err
	}
	set("--work-dir", "factors.dir", list(dirs))
	set("--runtime", "factors.runtime", list(levels))
	set("--rounds", "rounds", o.rounds)
	set("--seed", "seed", o.seed)
	for _, arg := range o.set {
		setting, err := profiles.ParseSet(arg)
		if err != nil {
			return over, withStatus(statusUsage, err)
		}
		over.Set = append(over.Set, setting)
	}
	return over, nil
}

// runtimeLevels checks values of --runtime. The path of an OCI runtime is made
// absolute: a run may be resumed from another directory.
func runtimeLevels(values []string) ([]string, error) {
	levels := make([]string, len(values))
	for i, value := range values {
		r, err := profiles.ParseRuntime(value)
		if err != nil {
			return nil, usageError("--runtime %s: %w", value, err)
		}
		levels[i] = value
		if strings.Contains(r.Path, "/") {
			path, err := filepath.Abs(r.Path)
			if err != nil {
				return nil, usageError("--runtime %s: %w", value, err)
			}
			levels[i] = r.Name + "=oci:" + path
		}
	}
	return levels, nil
}

// command is the argv that makes the run again, in the same order. Variables
// that changed the profile are part of it; where results go is not.
func (o runOptions) command(program string, environ []string, seed string) []string {
	var argv []string
	for _, entry := range environ {
		if strings.HasPrefix(entry, "PLIMSOLL_") && !strings.HasPrefix(entry, "PLIMSOLL_REQUIRE=") {
			argv = append(argv, entry)
		}
	}
	if len(argv) > 0 {
		argv = append([]string{"env"}, argv...)
	}
	argv = append(argv, program, "run")
	if o.profile != "" {
		argv = append(argv, o.profile)
	}
	flag := func(name string, values ...string) {
		for _, value := range values {
			if value != "" {
				argv = append(argv, name, value)
			}
		}
	}
	flag("--work-dir", o.dirs...)
	flag("--runtime", o.runtimes...)
	flag("--rounds", o.rounds)
	flag("--set", o.set...)
	flag("--require", o.require...)
	flag("--seed", seed)
	return argv
}

// list writes values as YAML's [...]; none is "".
func list(values []string) string {
	if len(values) == 0 {
		return ""
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = "'" + strings.ReplaceAll(v, "'", "''") + "'"
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
