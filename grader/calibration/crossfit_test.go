package calibration

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"winnow/grader/metric"
)

func TestCrossFit(t *testing.T) {
	rule := func(l latent, random *rand.Rand) bool { return l.hidden+0.3*random.NormFloat64() > 0 }
	in := world(300, 4, rule)
	o := Options{Folds: 5, Seed: 2}
	f, crossed, err := CrossFit(context.Background(), in, o)
	if err != nil {
		t.Fatal(err)
	}
	if f.Accepted || f.Evidence.Train.Records != 300 || f.Evidence.Holdout.Records != 0 || len(crossed) != 300 {
		t.Fatalf("accepted %t, learned on %d, held out %d, %d probabilities", f.Accepted, f.Evidence.Train.Records, f.Evidence.Holdout.Records, len(crossed))
	}
	c, err := f.Bind(in.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	auc := func(of func(i int) (float64, bool), n int) float64 {
		var z []float64
		var keep []bool
		for i := range n {
			p, k := of(i)
			z, keep = append(z, p), append(keep, k)
		}
		a, err := metric.AUC(z, keep)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	seen := auc(func(i int) (float64, bool) {
		p, err := c.Probability(&in.Examples[i].Entry)
		if err != nil {
			t.Fatal(err)
		}
		return p, in.Examples[i].Keep
	}, 300)
	unseen := auc(func(i int) (float64, bool) { return crossed[i].Probability, crossed[i].Keep }, 300)
	if unseen < 0.8 || unseen >= seen {
		t.Errorf("AUC %g out of fold and %g in sample: want a high one and a higher one", unseen, seen)
	}
	chosen := slices.IndexFunc(f.Evidence.Methods, func(r Result) bool { return r.Method == f.Method })
	if got := f.Evidence.Methods[chosen]; math.Abs(float64(got.TrainAUC)-unseen) > 1e-9 || !math.IsNaN(float64(got.AUC.Value)) {
		t.Errorf("the evidence of %s is %+v, out of fold the AUC is %g", f.Method, got, unseen)
	}

	// The order of the examples does not matter, and the file can be read back.
	slices.Reverse(in.Examples)
	g, again, err := CrossFit(context.Background(), in, o)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(crossed, again) {
		t.Error("other probabilities in another order")
	}
	a, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b, err := g.Bytes()
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("another file in another order (%v)", err)
	}
	if _, err := parse(a); err != nil {
		t.Errorf("reading it back: %v", err)
	}

	// Too few of a kind.
	for i := range in.Examples {
		in.Examples[i].Keep = i < 9
	}
	if _, _, err := CrossFit(context.Background(), in, o); err == nil || !strings.Contains(err.Error(), "9 records to keep and 291 to drop") {
		t.Errorf("nine to keep: %v", err)
	}
}
