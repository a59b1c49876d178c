package verdicts

// Covered is reached by a test on one of its two ways.
func Covered(n int) int {
	if n < 0 {
		return -n
	}
	return 2 * n
}
