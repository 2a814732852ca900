package soak

import "testing"

func TestCount(t *testing.T) {
	for env, want := range map[string]int{"": 3, "0": 3, "1": 200, "yes": 200} {
		t.Setenv("SOAK", env)
		if got := Count(3, 200); got != want {
			t.Errorf("SOAK=%q: %d, want %d", env, got, want)
		}
	}
}

func TestSeed(t *testing.T) {
	for env, want := range map[string]uint64{"": 1, "7": 7, "-7": 1, "x": 1} {
		t.Setenv("SOAK_SEED", env)
		if got := Seed(); got != want {
			t.Errorf("SOAK_SEED=%q: %d, want %d", env, got, want)
		}
	}
}
