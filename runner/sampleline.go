package runner

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
)

// sampleLine is a Sample whose key is left as it stands: a journal has few
// keys and very many samples.
type sampleLine struct {
	Key      json.RawMessage `json:"key"`
	Round    int             `json:"round"`
	Trial    int             `json:"trial"`
	Instance int             `json:"instance"`
	Metric   string          `json:"metric"`
	Unit     string          `json:"unit"`
	Better   Better          `json:"better"`
	Value    float64         `json:"value"`
	T        float64         `json:"t"`
}

func (d *decoder) sample(line []byte) error {
	l, ok := d.written(line)
	if !ok {
		var err error
		if l, err = parse[sampleLine](line); err != nil {
			return err
		}
	}
	k, ok := d.keys[string(l.Key)]
	if !ok {
		if len(l.Key) == 0 {
			return errors.New("sample has no key")
		}
		var err error
		if k, err = parse[Key](l.Key); err != nil {
			return err
		}
		k = k.WithDefaults()
		d.keys[string(l.Key)] = k
	}
	if l.Metric == "" {
		return errors.New("sample has no metric")
	}
	p, err := d.waiting(l.Trial)
	if err != nil {
		return err
	}
	p.samples = append(p.samples, Sample{
		Kind: "sample", Key: k, Round: l.Round, Trial: l.Trial, Instance: l.Instance,
		Metric: l.Metric, Unit: l.Unit, Better: l.Better, Value: l.Value, T: l.T,
	})
	return nil
}

// written reads a sample in the very form that [Writer] gives it, several
// times as fast as encoding/json, and leaves every other form to that.
func (d *decoder) written(line []byte) (sampleLine, bool) {
	f := fields{rest: line, ok: true, names: d.names}
	l := sampleLine{
		Key:      f.object(`{"kind":"sample","key":`),
		Round:    f.integer(`,"round":`),
		Trial:    f.integer(`,"trial":`),
		Instance: f.optional(`,"instance":`),
		Metric:   f.text(`,"metric":`),
		Unit:     f.text(`,"unit":`),
		Better:   Better(f.text(`,"better":`)),
		Value:    f.number(`,"value":`),
		T:        f.number(`,"t":`),
	}
	return l, f.ok && string(f.rest) == "}\n"
}

// fields takes a line apart from its beginning. At the first thing that is
// not as expected, ok is false for good.
type fields struct {
	rest  []byte
	ok    bool
	names map[string]string // the one copy of each text
}

// cut takes name and then what stands before any of ends.
func (f *fields) cut(name, ends string) []byte {
	if !f.ok || !bytes.HasPrefix(f.rest, []byte(name)) {
		f.ok = false
		return nil
	}
	f.rest = f.rest[len(name):]
	end := bytes.IndexAny(f.rest, ends)
	if end < 0 {
		f.ok = false
		return nil
	}
	value := f.rest[:end]
	f.rest = f.rest[end:]
	return value
}

// object takes a flat object. One with a brace or an escape in a text is left
// to encoding/json.
func (f *fields) object(name string) []byte {
	value := f.cut(name, "}")
	if !f.ok || bytes.LastIndexByte(value, '{') != 0 || bytes.IndexByte(value, '\\') >= 0 {
		f.ok = false
		return nil
	}
	value = value[:len(value)+1] // and its brace
	f.rest = f.rest[1:]
	return value
}

func (f *fields) number(name string) float64 {
	value := f.cut(name, ",}")
	n, err := strconv.ParseFloat(string(value), 64)
	f.ok = f.ok && err == nil && json.Valid(value) // ParseFloat takes "Inf" and ".5" too
	return n
}

func (f *fields) integer(name string) int {
	value := f.cut(name, ",}")
	n, err := strconv.Atoi(string(value))
	f.ok = f.ok && err == nil && json.Valid(value)
	return n
}

func (f *fields) optional(name string) int {
	if !bytes.HasPrefix(f.rest, []byte(name)) {
		return 0
	}
	return f.integer(name)
}

func (f *fields) text(name string) string {
	value := f.cut(name+`"`, `"`)
	if !f.ok {
		return ""
	}
	f.rest = f.rest[1:]
	if s, ok := f.names[string(value)]; ok {
		return s
	}
	for _, c := range value {
		if c < ' ' || c > '~' || c == '\\' {
			f.ok = false
			return ""
		}
	}
	s := string(value)
	f.names[s] = s
	return s
}
