package kernels

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"winnow/internal/kernelcases"
)

// logProbTolerance is what log-probabilities and probabilities may be off by: less
// than a plain single-precision sum over a vocabulary is.
const logProbTolerance = 1e-6

// logProbCase returns a case's rows and query.
func logProbCase(c kernelcases.LogProbCase) ([]float32, LogProbShape, LogProbQuery) {
	logits, targets, tokens, starts, values := c.Data()
	return logits, LogProbShape{Rows: c.Rows, Vocab: c.Vocab, Stride: c.Stride}, LogProbQuery{Targets: targets, Tokens: tokens, Starts: starts, Values: values}
}

// eachLogProbCase runs a test on each case of at most that many logits.
func eachLogProbCase(t *testing.T, most int, test func(t *testing.T, logits []float32, s LogProbShape, q LogProbQuery)) {
	for _, c := range kernelcases.LogProb() {
		if c.Measure || c.Rows*c.Vocab > most {
			continue
		}
		t.Run(fmt.Sprintf("%s/%dx%d/%g", c.Name, c.Rows, c.Vocab, c.Spread), func(t *testing.T) {
			logits, s, q := logProbCase(c)
			test(t, logits, s, q)
		})
	}
}

// compareLogProbs reports where got is not want, within the tolerance.
func compareLogProbs(t *testing.T, what string, got, want *LogProbs, tolerance float64) {
	t.Helper()
	if !slices.Equal(got.Status, want.Status) {
		t.Errorf("%s: status %v, want %v", what, got.Status, want.Status)
	}
	for name, x := range map[string][2][]float64{
		"log-sum-exp": {got.LogSumExp, want.LogSumExp}, "log-probability": {got.LogProb, want.LogProb},
		"probability": {got.Probs, want.Probs}, "off-scale mass": {got.OffScale, want.OffScale}, "expectation": {got.Expected, want.Expected},
	} {
		if len(x[0]) != len(x[1]) {
			t.Errorf("%s: %d numbers of %s, want %d", what, len(x[0]), name, len(x[1]))
			continue
		}
		most := tolerance
		if name == "expectation" {
			most *= 5 // values are up to 5
		}
		for i, g := range x[0] {
			w := x[1][i]
			if math.IsNaN(g) && math.IsNaN(w) || g == w {
				continue
			}
			if !(math.Abs(g-w) <= most) {
				t.Errorf("%s: %s %d is %v, want %v, off by %g", what, name, i, g, w, g-w)
				break
			}
		}
	}
	for r, p := range got.LogProb {
		if p > 0 {
			t.Errorf("%s: row %d: a log-probability of %g is above 0", what, r, p)
		}
	}
}

// reference returns what LogProbReference finds.
func reference(t *testing.T, logits []float32, s LogProbShape, q LogProbQuery) *LogProbs {
	t.Helper()
	out := new(LogProbs)
	if err := LogProbReference(logits, s, q, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLogProb(t *testing.T) {
	var reused LogProbs
	eachLogProbCase(t, math.MaxInt, func(t *testing.T, logits []float32, s LogProbShape, q LogProbQuery) {
		if err := LogProb(t.Context(), nil, logits, s, q, &reused); err != nil {
			t.Fatal(err)
		}
		compareLogProbs(t, "fast", &reused, reference(t, logits, s, q), logProbTolerance)
	})
}

// TestLogProbShapes has shapes by chance, with strides and begins that leave rows
// unaligned.
func TestLogProbShapes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		c := kernelcases.LogProbCase{
			Rows: random.IntN(20), Vocab: 1 + random.IntN(3000), Spread: math.Exp(8*random.Float64() - 3),
			Lists: random.IntN(2) == 0, Seed: random.Uint64(),
		}
		c.Stride = c.Vocab + random.IntN(5)
		c.Tokens = random.IntN(min(c.Vocab, 20) + 1)
		logits, s, q := logProbCase(c)
		moved := append(make([]float32, random.IntN(17)), logits...)[:]
		moved = moved[len(moved)-len(logits):]
		var got LogProbs
		if err := LogProb(t.Context(), nil, moved, s, q, &got); err != nil {
			t.Fatal(err)
		}
		compareLogProbs(t, fmt.Sprintf("%+v", c), &got, reference(t, logits, s, q), logProbTolerance)
	}
}

// TestLogProbAgainstDefinition checks the reference against the definition, computed
// in another way.
func TestLogProbAgainstDefinition(t *testing.T) {
	logits := []float32{1, 2, 3, 0, -1, 4}
	s := LogProbShape{Rows: 2, Vocab: 3}
	q := LogProbQuery{Targets: []int32{2, 0}, Tokens: []int32{0, 2}, Values: []float64{1, 5}}
	got := reference(t, logits, s, q)
	z := []float64{math.E + math.Exp(2) + math.Exp(3), 1 + math.Exp(-1) + math.Exp(4)}
	p := []float64{math.E / z[0], math.Exp(3) / z[0], 1 / z[1], math.Exp(4) / z[1]}
	compareLogProbs(t, "reference", got, &LogProbs{
		Status: []RowStatus{RowOK, RowOK}, LogSumExp: []float64{math.Log(z[0]), math.Log(z[1])},
		LogProb: []float64{math.Log(p[1]), math.Log(p[2])}, Probs: p,
		OffScale: []float64{1 - p[0] - p[1], 1 - p[2] - p[3]},
		Expected: []float64{(p[0] + 5*p[1]) / (p[0] + p[1]), (p[2] + 5*p[3]) / (p[2] + p[3])},
	}, 1e-14)
}

// TestLogProbExponential measures the fast exponential, through rows of 0 and x.
func TestLogProbExponential(t *testing.T) {
	const n = 1 << 19
	logits := make([]float32, 2*n)
	for i := range n {
		logits[2*i+1] = -15 * float32(i) / n
	}
	var out LogProbs
	if err := LogProb(t.Context(), nil, logits, LogProbShape{Rows: n, Vocab: 2}, LogProbQuery{}, &out); err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for i, sum := range out.sums {
		e := math.Exp(float64(logits[2*i+1]))
		worst = max(worst, math.Abs((sum-1)/e-1))
	}
	if !(worst <= 8e-8) {
		t.Errorf("relative error of up to %g, want at most 8e-8", worst)
	}
}

// TestLogProbBits checks that a row gives the same bits for any number of threads and
// whatever else is in the call.
func TestLogProbBits(t *testing.T) {
	logits, s, q := logProbCase(kernelcases.LogProbCase{Rows: 70, Vocab: 5003, Stride: 5003, Spread: 3, Tokens: 11, Seed: 3})
	var want LogProbs
	if err := LogProb(t.Context(), nil, logits, s, q, &want); err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{1, 2, 7} {
		previous := runtime.GOMAXPROCS(threads)
		var got LogProbs
		err := LogProb(t.Context(), nil, logits, s, q, &got)
		runtime.GOMAXPROCS(previous)
		if err != nil {
			t.Fatal(err)
		}
		compareLogProbs(t, fmt.Sprintf("%d threads", threads), &got, &want, 0)
	}
	for r := range s.Rows {
		one := q
		one.Targets = q.Targets[r : r+1]
		var got LogProbs
		if err := LogProb(t.Context(), nil, logits[r*s.Stride:], LogProbShape{Rows: 1, Vocab: s.Vocab}, one, &got); err != nil {
			t.Fatal(err)
		}
		if got.LogSumExp[0] != want.LogSumExp[r] || !slices.Equal(got.Probs, want.Probs[r*11:][:11]) {
			t.Errorf("row %d alone differs", r)
		}
	}
}

// oddRows are rows that are no distributions, between some that are.
func oddRows(vocab int) ([]float32, []RowStatus) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	var logits []float32
	add := func(fill float32, odd map[int]float32) {
		row := make([]float32, vocab)
		for i := range row {
			row[i] = fill
		}
		for i, x := range odd {
			row[i%vocab] = x
		}
		logits = append(logits, row...)
	}
	last := vocab - 1
	add(1, nil)
	add(1, map[int]float32{last: nan})
	add(1, map[int]float32{0: -nan})
	add(nan, nil)
	add(-inf, map[int]float32{0: nan})
	add(-inf, map[int]float32{last: nan})
	add(1, map[int]float32{0: inf})
	add(1, map[int]float32{last: inf})
	add(inf, nil)
	add(nan, map[int]float32{vocab / 2: inf})
	add(-inf, nil)
	add(-inf, map[int]float32{last: -3})
	add(-inf, map[int]float32{last: -math.MaxFloat32})
	add(-math.MaxFloat32, nil)
	add(-math.MaxFloat32, map[int]float32{0: math.MaxFloat32})
	add(math.MaxFloat32, nil)
	return logits, []RowStatus{RowOK, RowNaN, RowNaN, RowNaN, RowNaN, RowNaN, RowPositiveInf, RowPositiveInf, RowPositiveInf,
		RowPositiveInf, RowImpossible, RowOK, RowOK, RowOK, RowOK, RowOK}
}

// testOddRows runs a form on odd rows of several lengths.
func testOddRows(t *testing.T, what string, form func(logits []float32, s LogProbShape, q LogProbQuery, out *LogProbs) error) {
	for _, vocab := range []int{2, 17, 1024, 1500} {
		logits, want := oddRows(vocab)
		s := LogProbShape{Rows: len(want), Vocab: vocab}
		q := LogProbQuery{Targets: make([]int32, s.Rows), Tokens: []int32{0, int32(vocab - 1)}, Values: []float64{0, 1}}
		for i := range q.Targets {
			q.Targets[i] = int32(vocab - 1)
		}
		var got LogProbs
		if err := form(logits, s, q, &got); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Status, want) {
			t.Errorf("%s, rows of %d: status %v, want %v", what, vocab, got.Status, want)
		}
		compareLogProbs(t, fmt.Sprintf("%s, rows of %d", what, vocab), &got, reference(t, logits, s, q), logProbTolerance)
		for r, status := range want {
			numbers := []float64{got.LogSumExp[r], got.LogProb[r], got.Probs[2*r], got.Probs[2*r+1], got.OffScale[r], got.Expected[r]}
			for i, x := range numbers {
				if math.IsNaN(x) != (status != RowOK) {
					t.Errorf("%s, rows of %d: row %d (%v): number %d is %v", what, vocab, r, status, i, x)
				}
			}
		}
	}
}

func TestLogProbOddRows(t *testing.T) {
	testOddRows(t, "reference", LogProbReference)
	testOddRows(t, "fast", func(logits []float32, s LogProbShape, q LogProbQuery, out *LogProbs) error {
		return LogProb(t.Context(), nil, logits, s, q, out)
	})
	for status, want := range map[RowStatus]string{RowOK: "ok", RowNaN: "a logit is NaN", RowPositiveInf: "a logit is +Inf", RowImpossible: "all logits are -Inf", 9: "row status 9"} {
		if got := status.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestLogProbErrors(t *testing.T) {
	logits := make([]float32, 12)
	s := LogProbShape{Rows: 3, Vocab: 4}
	for name, c := range map[string]struct {
		s LogProbShape
		q LogProbQuery
	}{
		"rows":           {LogProbShape{Rows: -1, Vocab: 4}, LogProbQuery{}},
		"no vocabulary":  {LogProbShape{Rows: 1}, LogProbQuery{}},
		"vocabulary":     {LogProbShape{Rows: 1, Vocab: -4}, LogProbQuery{}},
		"stride":         {LogProbShape{Rows: 3, Vocab: 4, Stride: 3}, LogProbQuery{}},
		"too few":        {LogProbShape{Rows: 4, Vocab: 4}, LogProbQuery{}},
		"too few apart":  {LogProbShape{Rows: 3, Vocab: 4, Stride: 5}, LogProbQuery{}},
		"overflow":       {LogProbShape{Rows: math.MaxInt / 2, Vocab: 4}, LogProbQuery{}},
		"rung":           {s, LogProbQuery{Rung: LogProbRungs + 1}},
		"targets":        {s, LogProbQuery{Targets: []int32{0, 0}}},
		"target":         {s, LogProbQuery{Targets: []int32{0, 0, 4}}},
		"target -2":      {s, LogProbQuery{Targets: []int32{0, -2, 0}}},
		"token":          {s, LogProbQuery{Tokens: []int32{4}}},
		"token -1":       {s, LogProbQuery{Tokens: []int32{-1}}},
		"twice":          {s, LogProbQuery{Tokens: []int32{1, 2, 1}}},
		"values":         {s, LogProbQuery{Tokens: []int32{1, 2}, Values: []float64{1}}},
		"value":          {s, LogProbQuery{Tokens: []int32{1}, Values: []float64{math.NaN()}}},
		"starts":         {s, LogProbQuery{Tokens: []int32{1}, Starts: []int32{0, 1}}},
		"first start":    {s, LogProbQuery{Tokens: []int32{1}, Starts: []int32{1, 1, 1, 1}}},
		"last start":     {s, LogProbQuery{Tokens: []int32{1}, Starts: []int32{0, 0, 0, 2}}},
		"falling":        {s, LogProbQuery{Tokens: []int32{1, 2}, Starts: []int32{0, 2, 1, 2}}},
		"beyond":         {s, LogProbQuery{Tokens: []int32{1, 2}, Starts: []int32{0, 3, 3, 2}}},
		"twice in a row": {s, LogProbQuery{Tokens: []int32{1, 2, 2}, Starts: []int32{0, 1, 3, 3}}},
	} {
		var out LogProbs
		if err := LogProb(t.Context(), nil, logits, c.s, c.q, &out); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := LogProbReference(logits, c.s, c.q, &out); err == nil {
			t.Errorf("%s: no error of the reference", name)
		}
	}
	many := make([]int32, 40)
	for i := range many {
		many[i] = int32(i)
	}
	wide := LogProbShape{Rows: 1, Vocab: 40}
	var out LogProbs
	if err := LogProb(t.Context(), nil, make([]float32, 40), wide, LogProbQuery{Tokens: many}, &out); err != nil || !(math.Abs(out.OffScale[0]) < 1e-6) {
		t.Errorf("all tokens: %v, off-scale mass %v", err, out.OffScale)
	}
	many[7] = 39
	if err := LogProb(t.Context(), nil, make([]float32, 40), wide, LogProbQuery{Tokens: many}, &out); err == nil {
		t.Error("one of 40 tokens twice: no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := LogProb(ctx, nil, logits, s, LogProbQuery{}, &out); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled context: %v", err)
	}
	if err := LogProbDevice(t.Context(), nil, 0, 64, s, LogProbQuery{}, &out); err == nil {
		t.Error("rows on a device without the device: no error")
	}
}

func benchmarkLogProb(b *testing.B, form func(logits []float32, s LogProbShape, q LogProbQuery, out *LogProbs) error) {
	for _, c := range kernelcases.LogProb() {
		if !c.Measure || c.Rows > 16 {
			continue
		}
		b.Run(c.Name, func(b *testing.B) {
			logits, s, q := logProbCase(c)
			b.SetBytes(4 * int64(len(logits)))
			var out LogProbs
			for b.Loop() {
				if err := form(logits, s, q, &out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLogProb(b *testing.B) {
	benchmarkLogProb(b, func(logits []float32, s LogProbShape, q LogProbQuery, out *LogProbs) error {
		return LogProb(b.Context(), nil, logits, s, q, out)
	})
}

// BenchmarkLogProbReference is the plain Go loop.
func BenchmarkLogProbReference(b *testing.B) { benchmarkLogProb(b, LogProbReference) }
