//go:build !race

// Whether the tests have the race detector: they don't.

package harness

// RaceEnabled says so.
const RaceEnabled = false
