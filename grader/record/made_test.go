package record

import (
	"errors"
	"io"
	"math"
	"testing"
)

// TestMade holds that a made record has the key of a file's, and a pair one of its own
// for each order.
func TestMade(t *testing.T) {
	read := Parse([]byte(`{"instruction":"Q","input":"I","output":"A"}`), 0, "f", 1, Fields{})[0]
	one := Made(7, "Q", "I", "A")
	if one.Key != read.Key || one.Index != 7 || !one.Last() || one.Pair {
		t.Errorf("made %+v, read %+v", one, read)
	}
	seen := map[Key]int{one.Key: 0, Made(0, "Q", "I", "B").Key: 0}
	for i, p := range []*Record{
		MadePair(0, "Q", "I", "A", "B"), MadePair(0, "Q", "I", "B", "A"), MadePair(0, "Q", "I", "A", ""), MadePair(0, "Q", "I", "", "A"),
	} {
		if _, ok := seen[p.Key]; ok || !p.Pair {
			t.Errorf("pair %d has the key of another record", i)
		}
		seen[p.Key] = i
	}
}

func TestList(t *testing.T) {
	want := []*Record{Made(0, "Q", "", "A"), Made(1, "Q", "", "B")}
	l := FromList(want)
	for i, w := range want {
		if got, err := l.Next(); got != w || err != nil {
			t.Errorf("record %d: %v, %v", i, got, err)
		}
	}
	for range 2 {
		if got, err := l.Next(); got != nil || !errors.Is(err, io.EOF) {
			t.Errorf("behind the end: %v, %v", got, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestLot holds that lots are spread evenly and tell records, purposes and seeds apart.
func TestLot(t *testing.T) {
	const n = 4000
	var sum, product float64
	mean := func(l uint64) float64 { return float64(l)/math.Exp2(64) - 0.5 }
	for i := range uint64(n) {
		k := Key{byte(i), byte(i >> 8)}
		a, b := k.Lot("half", i), k.Lot("fold", i)
		if a != k.Lot("half", i) || a == b || a == k.Lot("half", i+1) {
			t.Fatalf("lots %x and %x of seed %d", a, b, i)
		}
		sum += mean(a)
		product += mean(a) * mean(b)
	}
	// Four standard deviations: 1/√12 of a lot, 1/12 of a product.
	if s := math.Sqrt(n); math.Abs(sum) > 4*s/math.Sqrt(12) || math.Abs(product) > 4*s/12 {
		t.Errorf("%d lots add up to %g, products to %g", n, sum, product)
	}
}
