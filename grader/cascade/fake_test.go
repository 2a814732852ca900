package cascade

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"winnow/grader"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// fake is an engine that gives the nth record the rating says(n), or no rating where it
// is NaN.
type fake struct {
	name string
	says func(n int) float64
}

var scale = rating.Scale{Strings: []string{"0", "1", "2", "3", "4", "5"}, Values: []float64{0, 1, 2, 3, 4, 5}}

func (f fake) Manifest() journal.Manifest {
	return journal.Manifest{
		Model:    journal.Model{Name: f.name, SHA256: strings.Repeat(f.name[:1], 64), Format: "F16"},
		Rubrics:  []journal.Rubric{{Name: "accuracy", SHA256: strings.Repeat("b", 64)}},
		Scale:    journal.Scale(scale),
		Template: journal.Template{Source: "plain", SHA256: strings.Repeat("d", 64)},
		Runtime:  journal.Runtime{Engine: "fake", Device: "CPU"},
		Settings: map[string]string{"ctx_size": "512"},
	}
}

func (f fake) Encode(rec *record.Record, p *grader.Prompt) error {
	*p = grader.Prompt{Tokens: append(p.Tokens[:0], int32(rec.Index)), Size: 1, Total: 10 + rec.Index%7}
	return nil
}

func (f fake) Capacity() grader.Capacity { return grader.Capacity{Tokens: 32, Prompts: 32} }

func (f fake) Rate(_ context.Context, batch []*grader.Prompt, out []grader.Outcome) (grader.Work, error) {
	for i, p := range batch {
		x := f.says(int(p.Tokens[0]))
		if math.IsNaN(x) {
			out[i].Fault = &record.Fault{Status: record.TooLong, Reason: f.name + " cannot"}
			continue
		}
		x = min(max(x, 0), 4.999)
		probs := make([]float64, len(scale.Strings))
		below := int(x)
		probs[below+1] = x - float64(below)
		probs[below] = 1 - probs[below+1]
		out[i] = grader.Outcome{Ratings: make([]rating.Rating, 1)}
		if err := out[i].Ratings[0].Set(scale, probs); err != nil {
			return grader.Work{}, err
		}
	}
	return grader.Work{}, nil
}

func (f fake) Close() error { return nil }

// world is a data set with two judges.
type world struct {
	t                *testing.T
	records          []*record.Record
	small, large     fake
	smallAt, largeAt string
	outAt            string
}

// newWorld makes n records. Large's ratings are spread evenly; small gives those that
// says makes of them.
func newWorld(t *testing.T, n int, says func(n int, large float64, random *rand.Rand) float64) *world {
	dir := t.TempDir()
	w := &world{t: t, smallAt: filepath.Join(dir, "s.small.jsonl"), largeAt: filepath.Join(dir, "s.large.jsonl"), outAt: filepath.Join(dir, "s.jsonl")}
	random := rand.New(rand.NewPCG(5, 6))
	large, small := make([]float64, n), make([]float64, n)
	for i := range n {
		w.records = append(w.records, record.Made(i, fmt.Sprintf("Task %d", i), "", "answer"))
		large[i] = 5 * random.Float64()
		small[i] = says(i, large[i], random)
	}
	w.large = fake{"large", func(n int) float64 { return large[n] }}
	w.small = fake{"small", func(n int) float64 { return small[n] }}
	return w
}

func (w *world) grade(e fake, path string, src record.Source) {
	w.t.Helper()
	o := grader.GradeOptions{MaxOffScale: 1}
	j, err := journal.Open(path, grader.Manifest(e, o))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := grader.Grade(context.Background(), src, e, j, j, o); err != nil {
		w.t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// plan goes as far as the plan.
func (w *world) plan(o Options) (*Plan, *Route, error) {
	w.t.Helper()
	if err := o.Validate(); err != nil {
		w.t.Fatal(err)
	}
	w.grade(w.small, w.smallAt, record.FromList(w.records))
	sample, err := Draw(w.smallAt, o.Sample, o.Seed)
	if err != nil {
		w.t.Fatal(err)
	}
	w.grade(w.large, w.largeAt, Only(record.FromList(w.records), sample, 0))
	p, err := Learn(context.Background(), w.smallAt, w.largeAt, sample, o)
	if err != nil {
		return nil, nil, err
	}
	r, err := p.Route(w.smallAt, sample)
	if err != nil {
		w.t.Fatal(err)
	}
	return p, r, nil
}

func (w *world) write(p *Plan, r *Route) *Report {
	w.t.Helper()
	w.grade(w.large, w.largeAt, Only(record.FromList(w.records), r.Large(), 0))
	report, err := p.Write(context.Background(), r, w.smallAt, w.largeAt, w.outAt)
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

// result reads the entries of the result by their place in the data.
func (w *world) result() (journal.Manifest, []journal.Entry) {
	w.t.Helper()
	m, index, err := journal.Read(w.outAt)
	if err != nil {
		w.t.Fatal(err)
	}
	var list []journal.Entry
	for _, rec := range w.records {
		e, ok := index.Lookup(rec.Key)
		if !ok {
			w.t.Fatalf("record %d has no entry", rec.Index)
		}
		list = append(list, e)
	}
	return m, list
}
