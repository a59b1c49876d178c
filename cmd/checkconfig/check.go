package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"plimsoll/hostcheck"
	"plimsoll/hostcheck/kconfig"
	"plimsoll/hostcheck/render"
)

const checkHelp = `Is this host ready to run containers? checkconfig tries what they need: every
namespace by making it, every cgroup controller in a scratch group, overlay on
the real data directory, links in a scratch network namespace. The kernel's
configuration explains what a probe found; it decides nothing that was tried.

It starts no program, loads no module (unless --load), changes no setting and
leaves nothing behind. As an ordinary user it says what it cannot know.

  checkconfig                         docker's needs, on this host
  checkconfig --for kubernetes        another use; --for all shows a matrix
  checkconfig --all                   everything that was checked
  checkconfig --config /boot/config-6.1.0-28-amd64
                                      another kernel's configuration, offline
  checkconfig --format json           also markdown, junit, sarif, prometheus
  checkconfig explain fs.overlay      why something is checked, and how to mend it
  checkconfig merge host1.json host2.json

Exit status: 0 ready · 1 not ready · 2 usage or bad input · 3 cannot be known.
With --strict, what is recommended counts as required.

The environment: CONFIG=FILE is --config FILE, as is a bare path, as with the
scripts that check configurations. NO_COLOR is respected.`

// settings of one check.
type settings struct {
	use, config, format, dir, cgroup, kernel string
	strict, all, load, hardening             bool
}

func checkCommand(std streams) *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use:   "checkconfig [FILE]",
		Short: "Is this host ready to run containers?",
		Long:  checkHelp,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if s.config != "" {
					return fmt.Errorf("both --config %s and %s are given: one configuration at a time", s.config, args[0])
				}
				s.config = args[0]
			}
			if s.config == "" {
				s.config = os.Getenv("CONFIG")
			}
			return check(s, std)
		},
	}
	f := c.Flags()
	f.StringVar(&s.use, "for", "docker", "use to judge the host for: docker, containerd, kubernetes, podman, podman-rootless, lxc, bench, all")
	f.StringVar(&s.config, "config", "", "judge this kernel configuration (plain, .gz, or a kernel image) and nothing of this host")
	f.StringVar(&s.format, "format", "text", "text, json, markdown, junit, sarif or prometheus")
	f.StringVar(&s.dir, "dir", "", "data directory to try storage on (default: that of the use)")
	f.StringVar(&s.cgroup, "cgroup", "", "with --config: hierarchy its host will use: v1, v2 or hybrid (default: v2 since Linux 5.2)")
	f.StringVar(&s.kernel, "kernel", "", "with --config: release, where the file does not say")
	f.BoolVar(&s.strict, "strict", false, "what is recommended counts as required")
	f.BoolVar(&s.all, "all", false, "show everything that was checked")
	f.BoolVar(&s.hardening, "hardening", false, "show kernel options that hardening guides want, too (with --all)")
	f.BoolVar(&s.load, "load", false, "allow probes that make the kernel load a module")
	c.RegisterFlagCompletionFunc("for", fixed(uses()...))
	c.RegisterFlagCompletionFunc("format", fixed("text", "json", "markdown", "junit", "sarif", "prometheus"))
	c.RegisterFlagCompletionFunc("cgroup", fixed("v1", "v2", "hybrid"))
	return c
}

func fixed(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

func uses() []string {
	var names []string
	for _, u := range hostcheck.Uses {
		names = append(names, string(u))
	}
	return append(names, string(hostcheck.All))
}

func check(s settings, std streams) error {
	use, err := hostcheck.ParseUse(s.use)
	if err != nil {
		return err
	}
	// A wrong format must not cost a whole run first.
	if err := render.Write(io.Discard, s.format, &hostcheck.Report{Config: &hostcheck.ConfigInfo{}}, render.Style{}); err != nil {
		return err
	}
	opt := hostcheck.Options{Use: use, Dir: s.dir, Load: s.load, Hardening: s.hardening}
	var report *hostcheck.Report
	if s.config != "" {
		if opt.Config, err = readConfig(s.config, s.kernel); err != nil {
			return err
		}
		if opt.Hierarchies, err = hierarchies(s.cgroup); err != nil {
			return err
		}
		report, err = hostcheck.Judge(opt)
	} else {
		if s.cgroup != "" || s.kernel != "" {
			return errors.New("--cgroup and --kernel describe the host of a --config FILE; this host is asked itself")
		}
		report, err = hostcheck.Run(opt)
	}
	if err != nil {
		return answer{exitUndecided, err}
	}
	if err := render.Write(std.Out, s.format, report, render.Style{All: s.all, Color: s.format == "text" && coloured(std.Out)}); err != nil {
		return answer{exitUndecided, fmt.Errorf("write the report: %w", err)}
	}
	return verdict(report, s.strict)
}

// verdict turns readiness into an exit code.
func verdict(r *hostcheck.Report, strict bool) error {
	ready := r.Ready
	if strict {
		ready = r.Strict()
	}
	switch ready {
	case hostcheck.Ready:
		return nil
	case hostcheck.NotReady:
		return answer{code: exitNo}
	}
	return answer{code: exitUndecided}
}

// readConfig reads another kernel's configuration.
func readConfig(path, release string) (*kconfig.Config, error) {
	c, err := kconfig.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: neither a file nor a command; see checkconfig --help", path)
	case err != nil:
		return nil, err
	}
	if release != "" {
		v, err := kconfig.ParseVersion(release)
		if err != nil {
			return nil, fmt.Errorf("--kernel %s: %w", release, err)
		}
		if c.Version.Known() && c.Version.String() != v.String() {
			return nil, fmt.Errorf("--kernel %s: %s says that it is of %v", release, path, c.Version)
		}
		c.Version = v
	}
	if !c.Version.Known() {
		c.Version = kconfig.VersionOfPath(path)
	}
	return c, nil
}

func hierarchies(name string) (kconfig.Hierarchies, error) {
	switch strings.ToLower(name) {
	case "":
		return kconfig.Hierarchies{}, nil
	case "v1":
		return kconfig.Hierarchies{V1: true}, nil
	case "v2":
		return kconfig.Hierarchies{V2: true}, nil
	case "hybrid":
		return kconfig.Hierarchies{V1: true, V2: true}, nil
	}
	return kconfig.Hierarchies{}, fmt.Errorf("--cgroup %s: no such hierarchy; choose one of v1, v2, hybrid", name)
}
