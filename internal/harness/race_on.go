//go:build race

// Whether the tests have the race detector: they do.

package harness

// RaceEnabled says so.
const RaceEnabled = true
