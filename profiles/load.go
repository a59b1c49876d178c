package profiles

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// Overrides change a profile after it is read. Later layers win: defaults,
// profile, environment, settings.
type Overrides struct {
	// Environ is the environment, as os.Environ gives it. PLIMSOLL_ROUNDS=3
	// sets rounds, PLIMSOLL_FACTORS_FLEET=1,8 sets factors.fleet; a variable
	// that begins with PLIMSOLL_ and names nothing is refused.
	// PLIMSOLL_REQUIRE, which belongs to the tests, is passed over.
	Environ []string
	Set     []Setting // in order: the last one wins
}

// Setting gives one place of a profile a value.
type Setting struct {
	From  string // the flag, as errors name it: "--rounds", "--set rounds=3"
	Path  string // "factors.fleet", "limits.small.memory", "workloads.io.params.block"
	Value string // a scalar, scalars separated by commas, or YAML's [...] and {...}
}

// ParseSet reads the argument of --set, "path.to.key=value".
func ParseSet(arg string) (Setting, error) {
	path, value, ok := strings.Cut(arg, "=")
	if !ok || path == "" {
		return Setting{}, fmt.Errorf("--set %s: must be path.to.key=value, such as factors.fleet=[1,8]", arg)
	}
	return Setting{From: "--set " + arg, Path: strings.TrimSpace(path), Value: value}, nil
}

// Error is a fault in a profile.
type Error struct {
	Where   string // "mine.yaml:12", "--set rounds=0", "PLIMSOLL_ROUNDS"
	Path    string // "factors.fleet[1]"; "" for the whole profile
	Problem string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return e.Where + ": " + e.Problem
	}
	return e.Where + ": " + e.Path + ": " + e.Problem
}

//go:embed builtin/*.yaml defaults.yaml
var files embed.FS

// Builtin names the built-in profiles, the default one first.
var Builtin = []string{"quick", "startup", "overhead", "storage", "storage-full"}

// Source returns the text of a built-in profile, comments and all.
func Source(name string) ([]byte, bool) {
	if !slices.Contains(Builtin, name) {
		return nil, false
	}
	b, err := files.ReadFile("builtin/" + name + ".yaml")
	return b, err == nil
}

// sizeLimit is far above any profile a person writes: what is larger is the
// wrong file.
const sizeLimit = 1 << 20

// Load resolves a profile: a built-in's name, "" for the default one, or the
// path of a YAML file, with the overrides applied. The error joins every
// fault found, each an [*Error].
func Load(nameOrPath string, o Overrides) (Profile, error) {
	name := cmp.Or(nameOrPath, Builtin[0])
	if text, ok := Source(name); ok {
		return resolve(name+".yaml", text, false, o)
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, "./") {
		return Profile{}, fmt.Errorf("%s, and no such file", unknown("profile", name, Builtin))
	}
	if err != nil {
		return Profile{}, fmt.Errorf("read profile: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, sizeLimit+1))
	if err != nil {
		return Profile{}, fmt.Errorf("read profile: %w", err)
	}
	return Parse(name, text, o)
}

// Parse resolves a profile from YAML text, with the overrides applied. Errors
// call the text name, and so does the profile where it has no name of its
// own, less directory and extension.
func Parse(name string, text []byte, o Overrides) (Profile, error) {
	if len(text) > sizeLimit {
		return Profile{}, &Error{Where: name, Problem: "is over " + FormatBytes(sizeLimit) + ": not a profile"}
	}
	return resolve(name, text, true, o)
}

// resolve merges the layers and decodes what comes of them.
func resolve(from string, text []byte, user bool, o Overrides) (Profile, error) {
	var errs []error
	s := schema()
	layer := reader{where: map[string]place{}, errs: &errs, lines: true}
	v := viper.New()
	merge := func(m map[string]any) { errs = append(errs, v.MergeConfigMap(m)) }

	layer.from = "defaults.yaml"
	defaults, err := files.ReadFile(layer.from)
	if err != nil {
		return Profile{}, err
	}
	merge(layer.text(defaults, s))
	layer.from, layer.user = from, user
	merge(layer.text(text, s))
	layer.lines, layer.user = false, true
	settings, faults := environment(o.Environ, s, v)
	errs = append(errs, faults...)
	for _, set := range append(settings, o.Set...) {
		layer.from = set.From
		merge(layer.setting(set, s))
	}
	if err := errors.Join(errs...); err != nil {
		return Profile{}, err
	}
	name := strings.TrimSuffix(filepath.Base(from), filepath.Ext(from))
	return decode(v, layer.where, name)
}

// prefix begins the variables that set a profile's values.
const prefix = "PLIMSOLL_"

// environment finds the settings among the environment's variables. Which
// limits have names, and so variables, is known from the layers before.
func environment(environ []string, s shape, v *viper.Viper) ([]Setting, []error) {
	paths := map[string]string{}
	var names []string
	for _, path := range s.leaves("", limitNames(v)) {
		name := strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(path))
		paths[prefix+name] = path
		names = append(names, name)
	}
	var out []Setting
	var errs []error
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		switch path, ok := paths[name]; {
		case !strings.HasPrefix(name, prefix) || name == "PLIMSOLL_REQUIRE":
		case !ok:
			problem := "sets nothing in a profile"
			if near := Nearest(strings.TrimPrefix(name, prefix), names); near != "" {
				problem += " (did you mean " + prefix + near + "?)"
			}
			errs = append(errs, &Error{Where: name, Problem: problem})
		default:
			out = append(out, Setting{From: name, Path: path, Value: value})
		}
	}
	return out, errs
}

// limitNames lists the names of limits, sorted.
func limitNames(v *viper.Viper) []string {
	limits, _ := v.Get("limits").(map[string]any)
	var names []string
	for name := range limits {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
