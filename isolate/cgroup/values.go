package cgroup

import "fmt"

// Value is one write: Data into File of the controller's group.
type Value struct {
	Controller Controller
	File       string // name in the group's directory
	Data       string

	// Also is a further write to the same end, where a kernel may have this
	// file, that one or both: one has to be there.
	Also *Value
}

// Values compiles limits to what must be written on this host, in order, each
// controller in the version it has here. It touches nothing. Impossible
// limits are an error, and so is a limit whose controller is not to be had:
// a *MissingError.
func (h *Host) Values(l Limits) ([]Value, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	var values []Value
	for i := range controllers {
		c := &controllers[i]
		if !c.wanted(l) || c.name == Devices && h.unified() != nil {
			continue
		}
		at, err := h.Lookup(c.name)
		if err != nil {
			return nil, fmt.Errorf("limit %s: %w", c.name, err)
		}
		for _, v := range c.in(at.Version).limits(l) {
			v.Controller = c.name
			values = append(values, v)
		}
	}
	return values, nil
}
