// Package runner says which trials to run, has them run, and keeps what they
// measured. It is pure: it knows no kernel and no network, and builds
// wherever a report is read.
//
// A profile and what its hosts lack become a [Plan]; an [Executor] carries
// its trials out; a [Writer] appends each to a journal as it ends; and
// [ReadJournal] gives back what the journal holds, on any machine, at any
// later time:
//
//	plan, err := runner.NewPlan(profile, hosts, seed, nil)
//	journal, err := runner.CreateJournal(dir, header, plan)
//	result, err := runner.Run(ctx, plan, nil, executor, journal, observe)
//	os.Exit(result.ExitStatus())
//
// A run that was cut short goes on with the profile and the seed of its own
// header:
//
//	old, err := runner.ReadHeader(dir)
//	plan, err := runner.NewPlan(old.Profile, hosts, old.Seed, nil)
//	journal, done, err := runner.OpenResume(dir, header, plan, false)
//	result, err := runner.Run(ctx, plan, done, executor, journal, observe)
package runner
