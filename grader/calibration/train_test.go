package calibration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"winnow/grader/gold"
	"winnow/grader/journal"
	"winnow/grader/metric"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/signal"
)

// testManifest is of a judge with two criteria, signals and a hidden state.
func testManifest() journal.Manifest {
	return journal.Manifest{
		Model:    journal.Model{Name: "m.gguf", SHA256: strings.Repeat("a", 64), Format: "F16"},
		Rubrics:  []journal.Rubric{{Name: "accuracy", SHA256: strings.Repeat("b", 64)}, {Name: "helpfulness", SHA256: strings.Repeat("c", 64)}},
		Scale:    journal.Scale{Strings: []string{"0", "1", "2"}, Values: []float64{0, 1, 2}},
		Template: journal.Template{Source: "plain", SHA256: strings.Repeat("d", 64)},
		Runtime:  journal.Runtime{Engine: "e", Device: "CPU"},
		Signals:  signal.Set{signal.Tokens, signal.Loss, signal.Follow}.Names(),
		Hidden:   &journal.Hidden{Layer: 3, Size: 8},
	}
}

// latent is what a label of a test can depend on.
type latent struct {
	value, entropy, length, nll, hidden float64
}

// world draws rated records, with labels by a rule.
func world(n int, seed uint64, keep func(latent, *rand.Rand) bool) *Labelled {
	random := rand.New(rand.NewPCG(seed, 9))
	m := testManifest()
	scale := rating.Scale(m.Scale)
	in := &Labelled{Manifest: m, Labels: n}
	for i := range n {
		var e journal.Entry
		sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)|seed<<32))
		copy(e.Key[:], sum[:])
		e.Index, e.Status = i, record.OK
		for range m.Rubrics {
			p := []float64{random.Float64() + 0.01, random.Float64(), random.Float64()}
			total := p[0] + p[1] + p[2]
			for j := range p {
				p[j] *= 0.9 / total
			}
			var r rating.Rating
			if err := r.Set(scale, p); err != nil {
				panic(err)
			}
			e.Ratings = append(e.Ratings, r)
		}
		length := math.Round(math.Exp(4 + random.NormFloat64()))
		nll := 2 + 0.5*random.NormFloat64()
		answer, alone := nll+0.2*random.NormFloat64(), nll+0.5
		e.Signals = []float64{20, length, nll, math.Exp(nll), answer, alone, answer / alone, math.Exp(answer - alone)}
		if i%20 == 0 {
			for j := 2; j < len(e.Signals); j++ {
				e.Signals[j] = math.NaN()
			}
		}
		for range m.Hidden.Size {
			e.Hidden = append(e.Hidden, float32(random.NormFloat64()))
		}
		l := latent{e.Value(), e.Ratings[0].Entropy, math.Log(length + 1), nll, float64(e.Hidden[2] - e.Hidden[5])}
		in.Examples = append(in.Examples, Example{Key: e.Key, Entry: e, Keep: keep(l, random), Length: length})
	}
	return in
}

func byHidden(l latent, random *rand.Rand) bool {
	return random.Float64() < probability(1.5*l.hidden-2)
}

func testOptions() Options {
	return Options{Folds: 5, Holdout: 0.5, Seed: 1, Resamples: 200, LabelsSHA256: "1", Lengths: "tokens"}
}

func train(t *testing.T, in *Labelled, o Options) *File {
	t.Helper()
	f, err := Train(context.Background(), in, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func row(t *testing.T, f *File, method string) Result {
	t.Helper()
	i := slices.IndexFunc(f.Evidence.Methods, func(r Result) bool { return r.Method == method })
	if i < 0 {
		t.Fatalf("no method %s in the table", method)
	}
	return f.Evidence.Methods[i]
}

// TestAccepted learns what only the hidden state tells.
func TestAccepted(t *testing.T) {
	f := train(t, world(1200, 1, byHidden), testOptions())
	if !f.Accepted || !slices.Contains([]string{"hidden", "everything", "average"}, f.Method) {
		t.Errorf("%s, accepted %t: %s", f.Method, f.Accepted, f.Reason)
	}
	if r := row(t, f, "hidden"); !(r.AUC.Low > 0.75 && r.WithinAUC.Low > 0.75 && r.Calibration < 0.06) {
		t.Errorf("hidden: AUC %v, within length %v, calibration error %g", r.AUC, r.WithinAUC, r.Calibration)
	}
	if r := row(t, f, "signals"); !(r.AUC.Low < 0.55) {
		t.Errorf("signals know nothing, but have the AUC %v", r.AUC)
	}
	if e := f.Evidence; e.Train.Records+e.Holdout.Records != 1200 || len(e.Before) != curveBins || len(e.After) != curveBins {
		t.Errorf("evidence: %+v", e)
	}
	if f.Judge.Hidden == nil {
		t.Error("the file does not say that it needs the hidden state")
	}
}

// TestInteraction is a label that needs products of features, or trees.
func TestInteraction(t *testing.T) {
	in := world(1600, 2, func(l latent, random *rand.Rand) bool {
		return (l.entropy > 0.8) != (l.nll > 2) != (random.Float64() < 0.05)
	})
	f := train(t, in, testOptions())
	if !f.Accepted || f.Method != "signals2" && f.Method != "boosted" && f.Method != "average" {
		t.Errorf("%s, accepted %t: %s", f.Method, f.Accepted, f.Reason)
	}
}

// TestLengthAloneRefused has labels that are made of the response's length, with and
// without chance.
func TestLengthAloneRefused(t *testing.T) {
	for name, rule := range map[string]func(latent, *rand.Rand) bool{
		"threshold": func(l latent, _ *rand.Rand) bool { return l.length > 4 },
		"chance":    func(l latent, random *rand.Rand) bool { return random.Float64() < probability(1.5*(l.length-4.5)) },
	} {
		f := train(t, world(1200, 3, rule), testOptions())
		if f.Accepted || !strings.Contains(f.Reason, "within bands of length") {
			t.Errorf("%s: %s, accepted %t: %s", name, f.Method, f.Accepted, f.Reason)
		}
		if r := row(t, f, "signals"); !(r.AUC.Low > 0.7) {
			t.Errorf("%s: signals have the AUC %v: this label is not of the length", name, r.AUC)
		}
	}
}

// TestNothingLeaks has labels that mean nothing. One in ten is to be kept.
func TestNothingLeaks(t *testing.T) {
	mean, n := 0.0, 0.0
	for seed := range uint64(3) {
		f := train(t, world(1000, 10+seed, func(_ latent, random *rand.Rand) bool { return random.IntN(10) == 0 }), testOptions())
		if f.Accepted {
			t.Errorf("seed %d: %s is accepted: %s", seed, f.Method, f.Reason)
		}
		for _, r := range f.Evidence.Methods {
			if !(math.Abs(float64(r.AUC.Value)-0.5) < 0.16) {
				t.Errorf("seed %d: %s has the AUC %v on the hold-out", seed, r.Method, r.AUC)
			}
			if !r.Baseline {
				mean, n = mean+float64(r.AUC.Value), n+1
			}
		}
	}
	if mean /= n; !(math.Abs(mean-0.5) < 0.05) {
		t.Errorf("the mean AUC on hold-outs is %g, want about 0.5", mean)
	}
}

// TestRareIsCalibrated: with few records to keep probabilities are still right in
// their mean.
func TestRareIsCalibrated(t *testing.T) {
	o := testOptions()
	o.Methods = []string{"hidden"}
	f := train(t, world(2000, 4, func(l latent, random *rand.Rand) bool {
		return random.Float64() < probability(1.2*l.hidden-3.5)
	}), o)
	e := f.Evidence
	if share := float64(e.Train.Keep) / float64(e.Train.Records); !(share < 0.13) {
		t.Fatalf("%g are to be kept: not rare", share)
	}
	said, kept := 0.0, 0.0
	for _, b := range e.After {
		if b.Records > 0 {
			said += float64(b.Mean) * float64(b.Records)
			kept += float64(b.Kept) * float64(b.Records)
		}
	}
	if !(math.Abs(said-kept) < 0.3*kept) {
		t.Errorf("probabilities add up to %.1f, kept are %.1f", said, kept)
	}
}

// TestDeterministic: the file's bytes do not depend on the order of the examples.
func TestDeterministic(t *testing.T) {
	in := world(500, 5, byHidden)
	var files [2][]byte
	for i := range files {
		b, err := train(t, in, testOptions()).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		files[i] = b
		slices.Reverse(in.Examples)
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("the same labels and scores gave two files")
	}
	o := testOptions()
	o.Seed = 2
	if b, err := train(t, in, o).Bytes(); err != nil || bytes.Equal(files[0], b) {
		t.Errorf("another seed gave the same file (%v)", err)
	}
}

func TestTooFew(t *testing.T) {
	_, err := Train(context.Background(), world(30, 6, byHidden), testOptions())
	if err == nil || !strings.Contains(err.Error(), "too few labels") {
		t.Errorf("30 records: %v", err)
	}
}

// TestWithoutSignals has what an ordinary scores file has.
func TestWithoutSignals(t *testing.T) {
	in := world(600, 7, func(l latent, random *rand.Rand) bool { return random.Float64() < probability(4*(1-l.value)) })
	in.Manifest.Signals, in.Manifest.Hidden = nil, nil
	for i := range in.Examples {
		in.Examples[i].Entry.Signals, in.Examples[i].Entry.Hidden = nil, nil
	}
	f := train(t, in, testOptions())
	if !f.Accepted { // the rating has it the wrong way round
		t.Errorf("%s: %s", f.Method, f.Reason)
	}
	var names []string
	for _, r := range f.Evidence.Methods {
		names = append(names, r.Method)
	}
	if want := []string{"rating", "length", "platt", "isotonic", "distribution", "boosted"}; !slices.Equal(names, want) {
		t.Errorf("methods %q, want %q", names, want)
	}
	o := testOptions()
	o.Methods = []string{"hidden"}
	if _, err := Train(context.Background(), in, o); err == nil || !strings.Contains(err.Error(), "--signals hidden") {
		t.Errorf("hidden without a hidden state: %v", err)
	}
}

// TestWeightedAUC holds the AUC of weights against repeated records, and that within
// bands against one band alone.
func TestWeightedAUC(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		n := 2 + random.IntN(40)
		s := &sheet{keep: make([]bool, n), band: make([]int, n)}
		scores, w := make([]float64, n), make([]int32, n)
		var many []float64
		var classes []bool
		var right, pairs float64
		for i := range n {
			s.keep[i], s.band[i] = random.IntN(2) == 0, random.IntN(bands)
			scores[i], w[i] = float64(random.IntN(9)), int32(random.IntN(3))
			for range w[i] {
				many, classes = append(many, scores[i]), append(classes, s.keep[i])
			}
		}
		for i := range n {
			for j := range n {
				if s.keep[i] && !s.keep[j] && s.band[i] == s.band[j] {
					k := float64(w[i]) * float64(w[j])
					pairs += k
					switch {
					case scores[i] > scores[j]:
						right += k
					case scores[i] == scores[j]:
						right += k / 2
					}
				}
			}
		}
		want, err := metric.AUC(many, classes)
		if err != nil {
			t.Fatal(err)
		}
		all, within := s.rank(scores).auc(w)
		near := func(a, b float64) bool { return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 1e-12 }
		if !near(all, want) || !near(within, right/pairs) {
			t.Errorf("AUC %g, within %g; want %g and %g", all, within, want, right/pairs)
		}
	}
}

// TestSplit: half is gold's half, other shares are about right and nest.
func TestSplit(t *testing.T) {
	var held [3]int
	const n = 20000
	for i := range n {
		var key record.Key
		sum := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)))
		copy(key[:], sum[:])
		if Split(key, 3, 0.5) != (gold.Half(key, 3) == 1) {
			t.Fatalf("record %d is not in gold's half", i)
		}
		last := false
		for k, share := range []float64{0.1, 0.5, 0.8} {
			in := Split(key, 3, share)
			if last && !in {
				t.Fatalf("record %d is held out of a small share and not of a larger one", i)
			}
			if last = in; in {
				held[k]++
			}
		}
	}
	for k, share := range []float64{0.1, 0.5, 0.8} {
		if got := float64(held[k]) / n; !(math.Abs(got-share) < 0.02) {
			t.Errorf("%g are held out, want %g", got, share)
		}
	}
}

// BenchmarkHidden trains on a hidden state of 3,072 numbers: 2,000 records, 5 folds.
func BenchmarkHidden(b *testing.B) {
	in := world(2200, 8, byHidden)
	in.Manifest.Hidden.Size = 3072
	random := rand.New(rand.NewPCG(1, 1))
	for i := range in.Examples {
		e := &in.Examples[i].Entry
		for len(e.Hidden) < 3072 {
			e.Hidden = append(e.Hidden, float32(random.NormFloat64()))
		}
	}
	o := testOptions()
	o.Methods, o.Holdout = []string{"hidden"}, 0.1
	for b.Loop() {
		if _, err := Train(context.Background(), in, o); err != nil {
			b.Fatal(err)
		}
	}
}
