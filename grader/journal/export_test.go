package journal

import "testing"

// Fault is a disk that fails, for tests from outside.
type Fault struct{ fault *fault }

// EveryFault calls try with every fault until none is left to fail.
func EveryFault(t *testing.T, try func(what string, f Fault) error) {
	t.Helper()
	everyFault(t, func(what string, f *fault) error { return try(what, Fault{f}) })
}

// OpenFaulty is Open on a disk that fails.
func OpenFaulty(path string, m Manifest, f Fault) (*Journal, error) {
	return open(path, m, f.fault.disk())
}

// NoFault is a disk that does not fail.
func NoFault() Fault { return Fault{new(fault)} }
