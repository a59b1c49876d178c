package storagebench

import "fmt"

// checkID refuses what is no id of a clone: it becomes a part of the names of
// files, volumes and datasets.
func checkID(id string) error {
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return fmt.Errorf("clone %q: an id is letters, digits and dashes", id)
		}
	}
	if id == "" {
		return fmt.Errorf("the id of a clone is empty")
	}
	return nil
}
