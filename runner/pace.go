package runner

import "time"

// pace learns from the trials that ran how long the others will take.
type pace struct {
	cells map[Key]*cellPace
	order []*cellPace // of the plan: sums must not hang on a map's order
}

type cellPace struct {
	left    int           // trials still to run
	guess   time.Duration // the plan's
	ran     int
	elapsed time.Duration // of those that ran
}

func newPace(p Plan, done map[int]bool) *pace {
	pc := &pace{cells: map[Key]*cellPace{}}
	for _, c := range p.Cells {
		pc.cell(c.Key).guess = c.Estimate
	}
	for _, t := range p.Trials {
		if !done[t.ID] {
			pc.cell(t.Key).left++
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
	c.ran++
	c.elapsed += d
}

// left takes each cell's own mean; for a cell that has not run yet it is the
// plan's guess, corrected by how wrong the guesses were so far.
func (p *pace) left() time.Duration {
	var guessed, elapsed time.Duration
	for _, c := range p.order {
		guessed += time.Duration(c.ran) * c.guess
		elapsed += c.elapsed
	}
	wrong := 1.0
	if guessed > 0 {
		wrong = float64(elapsed) / float64(guessed)
	}
	var left time.Duration
	for _, c := range p.order {
		mean := time.Duration(float64(c.guess) * wrong)
		if c.ran > 0 {
			mean = c.elapsed / time.Duration(c.ran)
		}
		left += time.Duration(c.left) * mean
	}
	return left
}
