package runner

import "time"

// pace learns from the trials that ran how long the others will take.
type pace struct {
	cells map[Key]*cellPace
	order []*cellPace // of the plan: sums must not hang on a map's order

	pools   map[pool]time.Duration // the plan's guess for each that is not built yet
	guessed time.Duration          // for all that ran
	elapsed time.Duration          // by all that ran
}

type cellPace struct {
	left    int           // trials still to run
	guess   time.Duration // the plan's
	ran     int           // without building a pool first
	elapsed time.Duration // of those that ran, and did not build a pool first
}

func newPace(p Plan, done map[int]bool) *pace {
	pc := &pace{cells: map[Key]*cellPace{}, pools: map[pool]time.Duration{}}
	costs := p.pools()
	for _, c := range p.Cells {
		pc.cell(c.Key).guess = c.Estimate
	}
	for _, t := range p.Trials {
		if done[t.ID] {
			continue
		}
		pc.cell(t.Key).left++
		if of, shared := poolOf(t.Key); shared {
			pc.pools[of] = costs[of]
		}
	}
	return pc
}

func (p *pace) cell(k Key) *cellPace {
	c := p.cells[k]
	if c == nil {
		c = new(cellPace)
		p.cells[k] = c
		p.order = append(p.order, c)
	}
	return c
}

func (p *pace) took(k Key, d time.Duration) {
	c := p.cell(k)
	c.left--
	p.guessed += c.guess
	p.elapsed += d
	of, shared := poolOf(k)
	if cost, unbuilt := p.pools[of]; shared && unbuilt {
		p.guessed += cost
		delete(p.pools, of)
		return
	}
	c.ran++
	c.elapsed += d
}

// left takes each cell's own mean; for a cell that has not run yet, and for a
// pool that is not built yet, it is the plan's guess, corrected by how wrong the
// guesses were so far.
func (p *pace) left() time.Duration {
	wrong := 1.0
	if p.guessed > 0 {
		wrong = float64(p.elapsed) / float64(p.guessed)
	}
	var left, guesses time.Duration
	for _, cost := range p.pools {
		guesses += cost
	}
	for _, c := range p.order {
		if c.ran > 0 {
			left += time.Duration(c.left) * (c.elapsed / time.Duration(c.ran))
		} else {
			guesses += time.Duration(c.left) * c.guess
		}
	}
	return left + time.Duration(float64(guesses)*wrong)
}
