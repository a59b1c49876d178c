package local

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"plimsoll/isolate/network"
)

// networks are those that a run makes for its containers, by level.
type networks struct {
	open    map[string]*network.Net
	missing map[string]error // levels of the profile that this host cannot make
}

// openNetworks makes what the profile's levels ask for. Nothing of them
// outlives this process, so that nothing of them is in the ledger.
func openNetworks(levels []string, fleets []int) networks {
	n := networks{map[string]*network.Net{}, map[string]error{}}
	for _, level := range levels {
		if level != "bridge" && level != "nat" {
			continue
		}
		if os.Getuid() != 0 {
			n.missing[level] = fmt.Errorf("only root can link containers with network %s", level)
			continue
		}
		opened, err := network.Open(network.Options{Containers: slices.Max(fleets), NAT: level == "nat"})
		if err != nil {
			n.missing[level] = fmt.Errorf("network %s: %w", level, err)
			continue
		}
		n.open[level] = opened
	}
	return n
}

func (n networks) Close() error {
	var errs []error
	for _, net := range n.open {
		errs = append(errs, net.Close())
	}
	return errors.Join(errs...)
}

// made lists the levels that were made, sorted.
func (n networks) made() []string { return slices.Sorted(maps.Keys(n.open)) }

// levels says what the names stand for on this host.
func (n networks) levels() map[string]map[string]string {
	all := map[string]map[string]string{
		"host": {"namespace": "the host's own"},
		"none": {"namespace": "isolated, with loopback"},
	}
	for level, net := range n.open {
		reaches := "the run's other containers"
		if level == "nat" {
			reaches = "the host, and beyond it by its address"
			if net.Beyond() != nil {
				reaches = "the host, not beyond it: " + net.Beyond().Error()
			}
		}
		all[level] = map[string]string{"namespace": "isolated, with loopback and a link to the run's own bridge", "reaches": reaches}
	}
	return all
}
