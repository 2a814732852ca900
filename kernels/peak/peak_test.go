package peak

import "testing"

// Whatever the machine, its rates lie in the range of machines that exist.
func TestMeasure(t *testing.T) {
	m := Measure(2)
	for name, r := range map[string]struct{ got, low, high float64 }{
		"read":   {m.ReadBytesPerS, 1e8, 1e13},
		"triad":  {m.TriadBytesPerS, 1e8, 1e13},
		"floats": {m.FloatOpsPerS, 1e8, 1e14},
	} {
		if !(r.got >= r.low && r.got <= r.high) {
			t.Errorf("%s: %.3g a second, want %g to %g", name, r.got, r.low, r.high)
		}
	}
	if m.Threads != 2 || Measure(0).Threads != 1 {
		t.Errorf("threads %d, want 2, and 1 for none", m.Threads)
	}
}
