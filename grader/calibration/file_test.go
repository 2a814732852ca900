package calibration

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/signal"
)

// written trains by one method, writes the file and reads it again.
func written(t *testing.T, in *Labelled, method string) (*File, *File) {
	t.Helper()
	o := testOptions()
	o.Methods, o.Resamples = []string{method}, 20
	f := train(t, in, o)
	b, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.cal.json")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	g, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := g.Bytes(); err != nil || !bytes.Equal(b, again) {
		t.Errorf("%s: what was read is written otherwise (%v)", method, err)
	}
	return f, g
}

// TestReadGivesTheSame: of each method, what was measured is what the file gives, to
// the last bit, also where the judge has more signals than the calibration reads.
func TestReadGivesTheSame(t *testing.T) {
	in := world(400, 20, byHidden)
	for _, method := range Methods() {
		f, g := written(t, in, method)
		direct, err := f.bound(f.manifest())
		if err != nil {
			t.Fatal(err)
		}
		c, err := g.Bind(in.Manifest)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		if m := c.Manifest(); m.Name != "a.cal.json" || len(m.SHA256) != 64 {
			t.Errorf("manifest %+v", m)
		}
		set, layer, err := g.Needs()
		if err != nil {
			t.Fatal(err)
		}
		hidden := slices.Contains([]string{"hidden", "everything", "average"}, method)
		signals := slices.Contains([]string{"signals", "signals2", "boosted", "everything", "average"}, method)
		if set.Has(signal.Hidden) != hidden || hidden != (layer == 3) || set.Has(signal.Follow) != signals {
			t.Errorf("%s needs %v, layer %d", method, set, layer)
		}
		for i := range in.Examples {
			e := in.Examples[i].Entry
			p, err := c.Probability(&e)
			if err != nil {
				t.Fatal(err)
			}
			if !signals { // then the layout of the file has none
				e.Signals = nil
			}
			q, err := direct.Probability(&e)
			if err != nil || p != q || !(p >= 0 && p <= 1) {
				t.Fatalf("%s: record %d has the probabilities %v and %v (%v)", method, i, p, q, err)
			}
		}
	}
}

// TestProbabilityLaw: whatever an entry of the judge holds, its probability is one.
func TestProbabilityLaw(t *testing.T) {
	in := world(400, 21, byHidden)
	var bound []*Calibration
	for _, method := range Methods() {
		_, f := written(t, in, method)
		c, err := f.Bind(in.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		bound = append(bound, c)
	}
	rapid.Check(t, func(t *rapid.T) {
		e := journal.Entry{Status: record.OK}
		for range in.Manifest.Rubrics {
			e.Ratings = append(e.Ratings, rating.Rating{
				Value: rapid.Float64().Draw(t, "value"), OffScale: rapid.Float64Range(0, 1).Draw(t, "off-scale"), Entropy: rapid.Float64().Draw(t, "entropy"),
				Probs: rapid.SliceOfN(rapid.Float64Range(0, 1), 3, 3).Draw(t, "probs"),
			})
		}
		odd := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1)}))
		e.Signals = rapid.SliceOfN(odd, 8, 8).Draw(t, "signals")
		e.Hidden = rapid.SliceOfN(rapid.Float32(), 8, 8).Draw(t, "hidden")
		for _, c := range bound {
			if p, err := c.Probability(&e); err != nil || !(p >= 0 && p <= 1) {
				t.Fatalf("%s: probability %v (%v)", c.file.Method, p, err)
			}
		}
	})
}

func TestProbabilityOfAnotherEntry(t *testing.T) {
	in := world(400, 22, byHidden)
	_, f := written(t, in, "everything")
	c, err := f.Bind(in.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*journal.Entry){
		"no rating":     func(e *journal.Entry) { e.Ratings = nil },
		"probabilities": func(e *journal.Entry) { e.Ratings = []rating.Rating{{Probs: []float64{1}}, {Probs: []float64{1}}} },
		"signals":       func(e *journal.Entry) { e.Signals = e.Signals[:3] },
		"hidden":        func(e *journal.Entry) { e.Hidden = nil },
	} {
		e := copyOf(&in.Examples[0].Entry)
		change(&e)
		if p, err := c.Probability(&e); err == nil {
			t.Errorf("%s: probability %g and no error", name, p)
		}
	}
}

func TestBindRefusesAnotherJudge(t *testing.T) {
	in := world(400, 23, byHidden)
	_, f := written(t, in, "everything")
	other := func(change func(*journal.Manifest)) journal.Manifest {
		m := testManifest()
		change(&m)
		return m
	}
	for want, m := range map[string]journal.Manifest{
		"model sha256":      other(func(m *journal.Manifest) { m.Model.SHA256 = strings.Repeat("0", 64) }),
		"rubric":            other(func(m *journal.Manifest) { m.Rubrics[0].SHA256 = strings.Repeat("0", 64) }),
		"scale":             other(func(m *journal.Manifest) { m.Scale.Values = []float64{0, 1, 3} }),
		"template sha256":   other(func(m *journal.Manifest) { m.Template.SHA256 = strings.Repeat("0", 64) }),
		"no signal nll":     other(func(m *journal.Manifest) { m.Signals = m.Signals[:2] }),
		"have none":         other(func(m *journal.Manifest) { m.Hidden = nil }),
		"--hidden-layer 4":  other(func(m *journal.Manifest) { m.Hidden = &journal.Hidden{Layer: 2, Size: 8} }),
		"with 8 numbers, t": other(func(m *journal.Manifest) { m.Hidden = &journal.Hidden{Layer: 3, Size: 16} }),
	} {
		if _, err := f.Bind(m); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a.cal.json") {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	// What moves ratings by roundings only, more signals and another order are fine.
	m := other(func(m *journal.Manifest) {
		m.Runtime.Device, m.Settings = "GPU", map[string]string{"flash_attention": "false"}
		m.Model.Name = "renamed.gguf"
		m.Signals = signal.All().Names()
		slices.Reverse(m.Signals)
	})
	c, err := f.Bind(m)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := f.Bind(testManifest())
	if err != nil {
		t.Fatal(err)
	}
	e := in.Examples[1].Entry
	p, err := plain.Probability(&e)
	if err != nil {
		t.Fatal(err)
	}
	e.Signals = append(slices.Clone(e.Signals), 7)
	slices.Reverse(e.Signals)
	if q, err := c.Probability(&e); err != nil || p != q {
		t.Errorf("probability %g with the signals in another order, want %g (%v)", q, p, err)
	}
}

func TestDamagedFile(t *testing.T) {
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was read")
	}
	in := world(400, 24, byHidden)
	f, _ := written(t, in, "average")
	good, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	change := func(path string, value any) []byte {
		var v map[string]any
		if err := json.Unmarshal(good, &v); err != nil {
			t.Fatal(err)
		}
		at := any(v)
		steps := strings.Split(path, ".")
		for i, s := range steps {
			if list, ok := at.([]any); ok {
				at = list[0]
			}
			m := at.(map[string]any)
			if _, ok := m[s]; !ok {
				t.Fatalf("the file has no %s", path)
			}
			if i == len(steps)-1 {
				m[s] = value
			} else {
				at = m[s]
			}
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, b := range map[string][]byte{
		"empty":           nil,
		"cut":             good[:len(good)/2],
		"kind":            change("kind", "manifest"),
		"version":         change("version", 9),
		"slope":           change("slope", "x"),
		"no parts":        change("parts", []any{}),
		"no judge":        change("judge", map[string]any{}),
		"unknown signal":  change("judge.signals", []string{"nll", "what"}),
		"features":        change("parts.space.features", []string{"guess"}),
		"fewer features":  change("parts.space.features", []string{"rating"}),
		"mean":            change("parts.space.mean", []float64{1}),
		"deviation":       change("parts.space.deviation", "AAA"),
		"two models":      change("parts.boosted", nil),
		"leaves":          change("parts.boosted.leaf", []float64{1}),
		"cuts":            change("parts.boosted.cut", []float64{1}),
		"columns":         change("parts.boosted.column", []float64{1}),
		"hidden":          change("judge.hidden.size", 6),
		"unknown member":  bytes.Replace(good, []byte(`"kind"`), []byte(`"x":1,"kind"`), 1),
		"not finite":      bytes.Replace(good, []byte(`"slope":`), []byte(`"slope":1e999,"x":`), 1),
		"negative column": bytes.Replace(good, []byte(`"column":[`), []byte(`"column":[-1,`), 1),
	} {
		path := filepath.Join(t.TempDir(), "bad.json")
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: want an error that names the file, got %v", name, err)
		}
	}
	// No damage makes Read or what it reads panic.
	random := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		b := bytes.Clone(good)
		for range 1 + random.IntN(3) {
			b[random.IntN(len(b))] = "0123456789abz-\",:{}[]"[random.IntN(21)]
		}
		f, err := parse(b)
		if err != nil {
			continue
		}
		if c, err := f.Bind(in.Manifest); err == nil {
			if p, err := c.Probability(&in.Examples[0].Entry); err == nil && !(p >= 0 && p <= 1) {
				t.Errorf("probability %g of a damaged file", p)
			}
		}
	}
}

// writeJournal writes the world's entries as a scores file, with an entry without a
// rating at its end.
func writeJournal(t *testing.T, in *Labelled) (string, record.Key) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.jsonl")
	j, err := journal.Open(path, in.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	var entries []journal.Entry
	for _, x := range in.Examples {
		for i, h := range x.Entry.Hidden { // as a journal has them
			x.Entry.Hidden[i] = math.Float32frombits(math.Float32bits(h) &^ 0xffff)
		}
		entries = append(entries, x.Entry)
	}
	unrated := record.Key{1, 2, 3}
	entries = append(entries, journal.Entry{Key: unrated, Index: len(entries), Status: record.NoResponse, Reason: "empty"})
	if err := j.Append(entries); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return path, unrated
}

// TestScoresFile goes the whole way: from a scores file and labels to a scores file
// with probabilities.
func TestScoresFile(t *testing.T) {
	in := world(500, 25, byHidden)
	path, unrated := writeJournal(t, in)
	keep := map[record.Key]bool{unrated: true, {9}: false}
	for _, x := range in.Examples[:450] {
		keep[x.Key] = x.Keep
	}
	got, err := Load(path, keep, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Examples) != 450 || got.Labels != 452 || got.Unknown != 1 || got.Unrated != 1 {
		t.Fatalf("%d examples of %d labels, %d unknown, %d unrated", len(got.Examples), got.Labels, got.Unknown, got.Unrated)
	}
	for i, x := range got.Examples {
		if want := in.Examples[i]; x.Key != want.Key || x.Length != want.Length || x.Keep != want.Keep || !slices.Equal(x.Entry.Hidden, want.Entry.Hidden) {
			t.Fatalf("example %d is not what was written", i)
		}
	}
	_, f := written(t, got, "everything")
	to := filepath.Join(t.TempDir(), "out.jsonl")
	var first []byte
	for range 2 { // the second goes on where the first ended, and finds nothing missing
		done, err := Apply(context.Background(), f, path, to)
		if err != nil {
			t.Fatal(err)
		}
		if done.Entries != 501 || done.Calibrated != 500 || done.Torn != 0 {
			t.Fatalf("applied: %+v", done)
		}
		b, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, b) {
			t.Error("applying again changed the file")
		}
		first = b
	}
	m, index, err := journal.Read(to)
	if err != nil {
		t.Fatal(err)
	}
	if m.Calibration == nil || m.Calibration.Name != "a.cal.json" || index.Len() != 501 {
		t.Fatalf("calibration %+v, %d entries", m.Calibration, index.Len())
	}
	c, err := f.Bind(m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got.Examples {
		want, err := c.Probability(&got.Examples[i].Entry)
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := index.Lookup(got.Examples[i].Key); !ok || !(math.Abs(e.Calibrated-want) < 1e-6) {
			t.Fatalf("record %d has %g, want %g", i, e.Calibrated, want)
		}
	}
	in.Manifest.Model.SHA256 = strings.Repeat("1", 64)
	other, _ := writeJournal(t, in)
	if _, err := Apply(context.Background(), f, other, to+"2"); err == nil || !strings.Contains(err.Error(), "another judge") {
		t.Errorf("scores of another judge: %v", err)
	}
}

// TestLengths: without token counts the data's lengths are taken, and needed.
func TestLengths(t *testing.T) {
	in := world(20, 26, byHidden)
	in.Manifest.Signals = in.Manifest.Signals[2:]
	keep, lengths := map[record.Key]bool{}, map[record.Key]float64{}
	for i := range in.Examples {
		x := &in.Examples[i]
		x.Entry.Signals = x.Entry.Signals[2:]
		keep[x.Key], lengths[x.Key] = x.Keep, float64(i)
	}
	path, _ := writeJournal(t, in)
	if _, err := Load(path, keep, nil); err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("without lengths: %v", err)
	}
	got, err := Load(path, keep, lengths)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range got.Examples {
		if x.Length != float64(i) {
			t.Errorf("record %d has the length %g", i, x.Length)
		}
	}
}

func TestParseMethods(t *testing.T) {
	for text, want := range map[string][]string{"all": nil, "": nil, "platt": {"platt"}, "hidden, platt,hidden": {"hidden", "platt"}} {
		if got, err := ParseMethods(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"plat", "all,platt", ","} {
		if _, err := ParseMethods(text); err == nil || !strings.Contains(err.Error(), "isotonic") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
