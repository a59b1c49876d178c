package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"plimsoll/hostcheck"
	"plimsoll/hostcheck/render"
)

func mergeCommand(std streams) *cobra.Command {
	var format string
	var all bool
	c := &cobra.Command{
		Use:   "merge FILE.json...",
		Short: "Put several hosts side by side",
		Long:  "Merge reports that checkconfig --format json wrote on several hosts into one\ntable: what fails somewhere, and where they differ. Exit status 1 if any host\nis not ready.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			var reports []*hostcheck.Report
			for _, path := range args {
				r, err := readReport(path)
				if err != nil {
					return err
				}
				reports = append(reports, r)
			}
			if err := render.Merge(std.Out, format, reports, render.Style{All: all}); err != nil {
				return err
			}
			return together(reports)
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text or markdown")
	c.Flags().BoolVar(&all, "all", false, "show every check, not only the differences")
	return c
}

func readReport(path string) (*hostcheck.Report, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r hostcheck.Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w; is it from checkconfig --format json?", path, err)
	}
	if r.Schema != hostcheck.Schema || (r.Offline && r.Config == nil) {
		return nil, fmt.Errorf("read %s: schema %d, this program reads %d; is it from checkconfig --format json?", path, r.Schema, hostcheck.Schema)
	}
	return &r, nil
}

// together is the answer for all hosts: the worst of theirs.
func together(reports []*hostcheck.Report) error {
	var unclear bool
	for _, r := range reports {
		switch r.Ready {
		case hostcheck.NotReady:
			return answer{code: exitNo}
		case hostcheck.Unclear:
			unclear = true
		}
	}
	if unclear {
		return answer{code: exitUndecided}
	}
	return nil
}
