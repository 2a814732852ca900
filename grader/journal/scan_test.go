package journal

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"testing"
)

func TestScan(t *testing.T) {
	for name, form := range forms(t) {
		m, entries := form.m, form.entries
		path, b := written(t, m, entries)
		if err := os.WriteFile(path, append(b, `{"key":"`...), 0o644); err != nil {
			t.Fatal(err)
		}
		var got []Score
		var manifest Manifest
		torn, err := Scan(path, func(m Manifest) { manifest = m }, func(s Score) error {
			s.Values, s.OffScale = slices.Clone(s.Values), slices.Clone(s.OffScale)
			got = append(got, s)
			return nil
		})
		if err != nil || torn != len(`{"key":"`) {
			t.Fatalf("%d bytes torn, %v", torn, err)
		}
		if !reflect.DeepEqual(manifest, m) || len(got) != len(entries) {
			t.Fatalf("%s: manifest %+v, %d entries; want %+v, %d", name, manifest, len(got), m, len(entries))
		}
		sameScan(t, path, roundAll(entries))
		for i, e := range roundAll(entries) {
			var values, off []float64
			for _, r := range e.Ratings {
				values, off = append(values, r.Value), append(off, r.OffScale)
			}
			if s := got[i]; s.Key != e.Key || s.Index != e.Index || s.Status != e.Status || !slices.Equal(s.Values, values) || !slices.Equal(s.OffScale, off) {
				t.Errorf("%s: entry %d is %+v, want %+v", name, i, s, e)
			}
		}
	}
}

// sameScan fails unless Scan gives these entries whole.
func sameScan(t helper, path string, want []Entry) {
	t.Helper()
	n := 0
	if _, err := Scan(path, func(Manifest) {}, func(s Score) error {
		if got, w := numbered(*s.Entry), numbered(want[n]); s.Key != w.Key || !sameEntry(got, w) {
			t.Fatalf("scanned entry %d is %+v, want %+v", n, got, w)
		}
		n++
		return nil
	}); err != nil || n != len(want) {
		t.Fatalf("%d entries scanned, %v; want %d", n, err, len(want))
	}
}

// sameEntry takes no ratings at all for an empty list of them.
func sameEntry(a, b Entry) bool {
	if len(a.Ratings)+len(b.Ratings) == 0 {
		a.Ratings, b.Ratings = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

func TestScanDamage(t *testing.T) {
	m := manifestOf(1)
	path, b := written(t, m, someEntries(t, 1))
	n := 0
	_, err := Scan(path, func(Manifest) {}, func(s Score) error {
		if n++; n == 3 {
			return Twice(s.Key)
		}
		return nil
	})
	var damage *DamageError
	if !errors.As(err, &damage) || damage.Line != 4 || n != 3 {
		t.Errorf("after an error of add: %v, %d entries", err, n)
	}
	b[len(b)-30] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Scan(path, func(Manifest) {}, func(Score) error { return nil }); !errors.As(err, &damage) || damage.Line != 5 {
		t.Errorf("a changed byte: %v", err)
	}
	if _, err := Scan(path+"x", nil, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
