package profiles

import (
	"slices"
	"strconv"
	"strings"
)

// Nearest returns the name that s was most likely meant to be, or "" when
// none is near: at most a third of its letters, and at least two, may differ.
func Nearest(s string, names []string) string {
	best, least := "", max(2, len(s)/3)+1
	for _, name := range names {
		if d := distance(strings.ToLower(s), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace, or of
// neighbours to swap, that makes b of a (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 200 || len(b) > 200 {
		return 200 // nobody misspells that much by hand
	}
	var before []int // the row before the last
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// unknown words the refusal of a name that is none of names.
func unknown(what, s string, names []string) string {
	text := "unknown " + what + " " + strconv.Quote(s)
	if near := Nearest(s, names); near != "" {
		return text + " (did you mean " + near + "?)"
	}
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" })
	if len(names) == 0 {
		return text
	}
	return text + " (known: " + strings.Join(names, ", ") + ")"
}
