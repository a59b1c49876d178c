package hostcheck

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"plimsoll/hostcheck/kconfig"
)

// Checks are all checks, in the order in which they are shown.
func Checks() []Check {
	return slices.Concat(kernelChecks(), namespaceChecks(), cgroupChecks(), storageChecks(), networkChecks(),
		kubernetesChecks(), noiseChecks())
}

// Run tries what containers need on this host and judges it for the use. It
// starts no program, loads no module unless told to, and leaves nothing
// behind.
func Run(opt Options) (*Report, error) {
	start := time.Now()
	h := newHost(opt)
	h.prefetch()
	options, err := optionsFor(opt)
	if err != nil {
		return nil, err
	}
	r := &Report{Schema: Schema, Use: opt.Use, Host: h.identity()}
	config, _ := h.config()
	deciders := map[string]string{}
	checks := Checks()
	outcomes := h.outcomes(checks)
	for i, c := range checks {
		o := outcomes[i]
		res := Result{ID: c.ID, Group: c.Group, Title: c.Title, Why: c.Why, Needs: c.Needs,
			Answer: o.Answer, Detail: o.Detail, Evidence: o.Evidence}
		if o.Answer != Yes && o.Answer != NotRelevant {
			res.Explains = explanation(c, config)
			res.Fix = remedy(c, o, res.Explains)
		}
		if o.Answer == Yes || o.Answer == No || o.Answer == Partly {
			for _, name := range c.Options {
				deciders[name] = c.ID
			}
		}
		r.Results = append(r.Results, res)
	}
	if config != nil {
		hierarchies := kconfig.Hierarchies{V1: h.anyV1(), V2: h.hierarchies.v2 != ""}
		findings := config.Judge(options, hierarchies)
		r.Results = append(r.Results, optionResults(findings, h.modulesIfAny(), deciders)...)
		r.Config = configInfo(config)
	}
	r.Limits = h.limits()
	if d := h.density(opt.Use); d.Wall != "" {
		r.Density = &d
	}
	r.Capabilities = capabilitiesOf(r.Results, h.cmdline)
	r.conclude()
	for i := range r.Matrix {
		d := h.density(r.Matrix[i].Use)
		r.Matrix[i].Holds, r.Matrix[i].Wall = d.Most, d.Wall
	}
	r.Elapsed = time.Since(start)
	return r, nil
}

// outcomes makes the checks, those of one group one after the other and the
// groups side by side.
func (h *host) outcomes(checks []Check) []Outcome {
	out := make([]Outcome, len(checks))
	var wg sync.WaitGroup
	for first, next := 0, 0; first < len(checks); first = next {
		for next < len(checks) && checks[next].Group == checks[first].Group {
			next++
		}
		wg.Go(func() {
			for i := first; i < next; i++ {
				out[i] = checks[i].probe(h)
			}
		})
	}
	wg.Wait()
	h.cleanup.Wait()
	return out
}

// remedy is what to do: as the outcome says, else what the kernel lacks, else
// the check's own advice. Where nothing is known to be wrong there is none.
func remedy(c Check, o Outcome, lacking string) string {
	switch {
	case o.Fix != "" || o.Answer == CannotTell:
		return o.Fix
	case o.Answer == No && lacking != "":
		return "boot a kernel with " + strings.NewReplacer(" is not set", "", " are not set", "").Replace(lacking)
	}
	return c.Fix
}

// density for a use; for all of them Docker's kind stands.
func (h *host) density(u Use) Density {
	kind, ok := kindOf(u)
	if !ok {
		kind, _ = kindOf("docker")
	}
	return Estimate(kind, h.limits())
}

// modulesIfAny is nil where modules cannot be judged: the kernel has none, or
// their files cannot be seen from here.
func (h *host) modulesIfAny() *kconfig.Modules {
	if !h.exists("/proc/modules") {
		return nil
	}
	m := h.modules()
	if len(m.Files) == 0 && len(m.Builtin) == 0 && h.contained != "none" {
		return nil
	}
	return m
}

// identity are the facts that tell which host this is.
func (h *host) identity() map[string]string {
	inv := newGopsutil("/")
	f := map[string]string{}
	add(f, "", osFacts(h.tree, inv))
	add(f, "", virtualizationFacts(h.tree, inv))
	add(f, "", map[string]string{
		"kernel.release": h.release,
		"kernel.arch":    machine(h.tree),
		"host.name":      h.text("/proc/sys/kernel/hostname"),
		"cpu.model":      field(h.text("/proc/cpuinfo"), "model name"),
		"cpu.count":      count(h.text(cpuDir + "online")),
		"memory.total":   strconv.FormatInt(kilobytes(h.text("/proc/meminfo"), "MemTotal")*1024, 10),
		"cgroup.layout":  h.hierarchies.layout(),
		"data.dir":       h.dir,
		"user.euid":      strconv.Itoa(os.Geteuid()),
	})
	return f
}
