//go:build !race

// Whether the tests have the race detector: they don't.

package harness

const raceEnabled = false
