package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/rubric"
	"winnow/grader/signal"
)

// made is a journal of made ratings.
type made map[record.Key]journal.Entry

func (m made) Lookup(k record.Key) (journal.Entry, bool) { e, ok := m[k]; return e, ok }

// put rates a record, by each criterion, with nothing off the scale.
func (m made) put(r *record.Record, values ...float64) {
	e := journal.Entry{Key: r.Key, Index: r.Index, Status: record.OK}
	for _, v := range values {
		e.Ratings = append(e.Ratings, rating.Rating{Value: v})
	}
	m[r.Key] = e
}

func manifest(criteria ...string) journal.Manifest {
	m := journal.Manifest{Model: journal.Model{Name: "made"}, Scale: journal.Scale{
		Strings: []string{"0", "1", "2", "3", "4", "5"}, Values: []float64{0, 1, 2, 3, 4, 5},
	}}
	for _, name := range criteria {
		m.Rubrics = append(m.Rubrics, journal.Rubric{Name: name})
	}
	return m
}

// written makes n records whose responses differ much in length.
func written(n int) (list []*record.Record) {
	for i := range n {
		list = append(list, record.Made(i, fmt.Sprintf("Task %d", i), "", fmt.Sprintf("Answer %d is this:", i)+strings.Repeat(" some words", i)))
	}
	return list
}

func planOf(t *testing.T, list []*record.Record, perCanary int) *Plan {
	t.Helper()
	rubrics, err := rubric.LoadAll("accuracy")
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(draw(t, list, 0, len(list), 1), rubrics, perCanary)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func reportOf(t *testing.T, p *Plan, known Ratings, again ...Again) *Report {
	t.Helper()
	r, err := p.Report(t.Context(), manifest("quality"), known, again, Options{Min: 4.5, Resamples: 200})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// own is a rating of a record that only its key decides, from low to high.
func own(r *record.Record, low, high float64) float64 {
	return low + (high-low)*rand.New(rand.NewPCG(5, r.Key.Lot(drawn, 0))).Float64()
}

// perfect rates as a good judge would.
func perfect(p *Plan) made {
	m := made{}
	for _, r := range p.shuffled {
		m.put(r, own(r, 0, 1))
	}
	for _, f := range p.canaries {
		for k, r := range f.made {
			if f.aim == Attack {
				m.put(r, own(p.sample.Records[f.of[k]], 2, 4.9))
			} else {
				m.put(r, own(r, 0, 1))
			}
		}
	}
	for _, r := range p.Originals() {
		m.put(r, own(r, 2, 4.9))
	}
	return m
}

func TestPerfectJudge(t *testing.T) {
	p := planOf(t, written(120), 40)
	known := perfect(p)
	r := reportOf(t, p, known, Again{Name: "reverse", Text: "it backwards", Exact: true, Ratings: known}, Again{Name: Against, Text: "itself", Ratings: known})
	if s := r.Shuffled; s.Pairs != 120 || s.AUC.Value != 1 || s.AUC.Low != 1 || s.Wins.Value != 1 || s.Verdict != Holds {
		t.Errorf("shuffled: %+v", s)
	}
	for _, c := range r.Canaries {
		if c.Verdict != Holds || c.Made != 40 || c.Records != 40 || c.Up != 0 {
			t.Errorf("canary %+v", c)
		}
		if c.Aim == Attack && (c.Median.Value != 0 || c.P90 != 0) || c.Aim == Corruption && c.P90 > -1 {
			t.Errorf("canary %+v", c)
		}
	}
	for _, d := range r.Drift {
		if d.Verdict != Holds || d.Records != 120 || d.Equal != 120 || d.Max != 0 || d.Flips != 0 || d.Spearman.Value != 1 {
			t.Errorf("drift %+v", d)
		}
	}
	if r.Length.Verdict != Holds || r.Spread.Verdict != Holds || len(r.Worries) != 0 || r.Incomplete() != 0 {
		t.Errorf("length %+v, spread %+v, worries %q", r.Length, r.Spread, r.Worries)
	}
	if r.Sample.Rated != 120 || r.Made != len(known) || r.Model.Name != "made" {
		t.Errorf("%+v", r.Sample)
	}
}

// TestLengthJudge has a judge that sees nothing but length: it cannot tell shuffled
// responses, since they have the same lengths.
func TestLengthJudge(t *testing.T) {
	p := planOf(t, written(101), 30)
	known := made{}
	for _, r := range p.Records() {
		known.put(r, min(5, math.Log(float64(length(r)))*0.7))
	}
	r := reportOf(t, p, known)
	if s := r.Shuffled; s.Pairs != 101 || math.Abs(float64(s.AUC.Value)-0.5) > 1e-12 || s.Verdict != Fails {
		t.Errorf("shuffled: %+v", s)
	}
	if l := r.Length; l.Spearman.Value != 1 || l.Verdict != Fails || l.Tokens != nil || len(l.Bands) != 5 {
		t.Errorf("length: %+v", l)
	}
	records := 0
	for k, b := range r.Length.Bands {
		records += b.Records
		if k > 0 && (b.Shortest < r.Length.Bands[k-1].Longest || b.Mean <= r.Length.Bands[k-1].Mean) {
			t.Errorf("bands %+v", r.Length.Bands)
		}
	}
	if records != 101 {
		t.Errorf("%d records in all bands", records)
	}
	for _, c := range r.Canaries {
		want := map[string]Verdict{"doubled": Fails, "null": Holds, "dot": Holds, "cut": Holds, "words": Fails}[c.Name]
		if want != "" && c.Verdict != want {
			t.Errorf("%s: %+v, want %s", c.Name, c, want)
		}
	}
}

func TestRandomJudge(t *testing.T) {
	p := planOf(t, written(200), 60)
	known, other := made{}, made{}
	for _, r := range p.Records() {
		known.put(r, own(r, 0, 5))
		other.put(r, 5-own(r, 0, 5))
	}
	r := reportOf(t, p, known, Again{Name: Against, Text: "another one", Ratings: other})
	if s := r.Shuffled; s.Verdict != Fails || s.AUC.Low > 0.5 || s.AUC.High < 0.5 || s.Wins.Low > 0.5 || s.Wins.High < 0.5 {
		t.Errorf("shuffled: %+v", s)
	}
	if l := r.Length; l.Verdict != Holds || l.Spearman.Low > 0 || l.Spearman.High < 0 {
		t.Errorf("length: %+v", l)
	}
	if s := r.Spread; s.Verdict != Holds || s.Distinct != 200 || s.Evenness < 0.9 {
		t.Errorf("spread: %+v", s)
	}
	if d := r.Drift[0]; d.Verdict != Fails || d.Spearman.Value != -1 || d.Equal != 0 || d.Flips == 0 {
		t.Errorf("drift: %+v", d)
	}
	if len(r.Worries) == 0 || !strings.HasPrefix(r.Worries[0], "fails: a response is told from another record's") {
		t.Errorf("worries %q", r.Worries)
	}
}

// TestGullibleJudge has a judge that an attack moves by a known amount.
func TestGullibleJudge(t *testing.T) {
	p := planOf(t, written(60), 20)
	for _, c := range []struct {
		lift float64
		some int // of the 20 variants that are lifted
		want Verdict
		up   int
	}{{0, 20, Holds, 0}, {0.25, 20, Holds, 0}, {0.75, 20, Fails, 20}, {0.75, 5, Moves, 5}, {0.75, 1, Holds, 1}} {
		known := perfect(p)
		for i, r := range p.Originals() {
			known.put(r, 4)
			for _, f := range p.canaries {
				if k := slices.Index(f.of, i); k >= 0 && f.name == "suffix" {
					lift := 0.0
					if k < c.some {
						lift = c.lift
					}
					known.put(f.made[k], 4+lift)
				}
			}
		}
		r := reportOf(t, p, known)
		at := slices.IndexFunc(r.Canaries, func(c Canary) bool { return c.Name == "suffix" })
		got := r.Canaries[at]
		if got.Verdict != c.want || got.Up != c.up || got.Down != 0 || math.Abs(float64(got.Mean)-c.lift*float64(c.some)/20) > 1e-9 {
			t.Errorf("lift %g of %d: %+v", c.lift, c.some, got)
		}
		told := slices.ContainsFunc(r.Worries, func(w string) bool { return strings.Contains(w, "(suffix)") })
		if told != (c.want != Holds) {
			t.Errorf("lift %g of %d: worries %q", c.lift, c.some, r.Worries)
		}
	}
}

func TestConstantJudge(t *testing.T) {
	p := planOf(t, written(50), 10)
	known := made{}
	for _, r := range p.Records() {
		known.put(r, 4.996)
	}
	r := reportOf(t, p, known, Again{Name: Against, Ratings: known}, Again{Name: "reverse", Ratings: known})
	s := r.Spread
	if s.Verdict != Fails || s.Common != 5 || s.Ties != 50 || s.Share != 1 || s.Distinct != 1 || s.Top != 1 || s.Entropy != 0 || s.SD > 1e-12 {
		t.Errorf("spread: %+v", s)
	}
	if r.Shuffled.AUC.Value != 0.5 || r.Shuffled.Verdict != Fails || !math.IsNaN(float64(r.Length.Spearman.Value)) {
		t.Errorf("shuffled %+v, length %+v", r.Shuffled, r.Length)
	}
	for _, d := range r.Drift {
		if d.Verdict != Holds {
			t.Errorf("drift: %+v", d)
		}
	}
	for _, c := range r.Canaries {
		if want := map[Aim]Verdict{Attack: Holds, Corruption: Fails}[c.Aim]; c.Verdict != want {
			t.Errorf("%+v, want %s", c, want)
		}
	}
}

func TestCriteriaAndTokens(t *testing.T) {
	p := planOf(t, written(40), 0)
	m := manifest("a", "b", "c")
	m.Signals = []string{signal.InstructionTokens, signal.ResponseTokens}
	known := made{}
	for _, r := range p.Records() {
		x := own(r, 1, 5)
		known.put(r, x, 6-x, (x+4)/2)
		e := known[r.Key]
		e.Signals = []float64{3, 1000 - min(x, 6-x)}
		known[r.Key] = e
	}
	e := known[p.Originals()[0].Key]
	e.Signals[1] = math.NaN()
	r, err := p.Report(t.Context(), m, known, nil, Options{Min: 4.5, Resamples: 50})
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Length; l.Tokens == nil || l.Tokens.Value != -1 {
		t.Errorf("length: %+v", l)
	}
	if len(r.Criteria) != 3 {
		t.Fatalf("criteria: %+v", r.Criteria)
	}
	for k, want := range []struct {
		a, b string
		rho  float64
	}{{"a", "b", -1}, {"a", "c", 1}, {"b", "c", -1}} {
		if c := r.Criteria[k]; c.A != want.a || c.B != want.b || float64(c.Spearman.Value) != want.rho || c.Verdict != Moves {
			t.Errorf("%+v, want %+v", c, want)
		}
	}
	if w := strings.Join(r.Worries, "\n"); !strings.Contains(w, "a and b contradict each other") || !strings.Contains(w, "a and c say nearly the same") {
		t.Errorf("worries %q", r.Worries)
	}
}

func TestDrift(t *testing.T) {
	p := planOf(t, written(40), 0)
	known, moved, other := made{}, made{}, made{}
	for i, r := range p.Originals() {
		x := float64(i) / 8
		known.put(r, x)
		switch i {
		case 35: // 4.375
			moved.put(r, x+0.25)
		case 36: // 4.5
			moved.put(r, x-0.125)
		case 0:
		default:
			moved.put(r, x)
		}
		other.put(r, x+0.01)
	}
	r := reportOf(t, p, known,
		Again{Name: "reverse", Exact: true, Ratings: moved}, Again{Name: "reverse", Ratings: moved},
		Again{Name: "reverse", Ratings: other}, Again{Name: Against, Ratings: moved}, Again{Name: "none", Ratings: made{}})
	d := r.Drift[0]
	if d.Records != 39 || d.Equal != 37 || d.Max != 0.25 || math.Abs(float64(d.Mean)-0.375/39) > 1e-12 || d.Flips != 2 {
		t.Errorf("%+v", d)
	}
	for k, want := range []Verdict{Fails, Fails, Holds, Moves, Unmeasured} {
		if r.Drift[k].Verdict != want {
			t.Errorf("drift %d: %+v, want %s", k, r.Drift[k], want)
		}
	}
}

// TestIncomplete has records without a rating, and too few.
func TestIncomplete(t *testing.T) {
	p := planOf(t, written(4), 2)
	known := made{}
	for i, r := range p.Originals() {
		switch i {
		case 0:
			known.put(r, 3)
		case 1:
			known[r.Key] = journal.Entry{Key: r.Key, Status: record.TooLong, Reason: "made"}
		case 2:
			known.put(r, 3, 4) // of another judge
		}
	}
	r := reportOf(t, p, known, Again{Name: "reverse", Ratings: known})
	want := map[record.Status]int{record.TooLong: 1, record.NotGraded: r.Made - 2}
	if !reflect.DeepEqual(r.Unrated, want) || r.Incomplete() != r.Made-1 || r.Sample.Rated != 1 {
		t.Errorf("unrated %v of %d, want %v", r.Unrated, r.Made, want)
	}
	if r.Shuffled.Verdict != Unmeasured || r.Spread.Verdict != Unmeasured || r.Length.Verdict != Unmeasured || r.Canaries[0].Verdict != Unmeasured {
		t.Errorf("verdicts of one record: %+v", r)
	}
	if len(r.Worries) != 2 || !strings.Contains(r.Worries[0], "have no rating, "+fmt.Sprint(r.Made-2)+" not_graded, 1 too_long") {
		t.Errorf("worries %q", r.Worries)
	}
	for _, r := range []*Report{r, reportOf(t, p, made{})} {
		b, err := json.Marshal(r)
		if err != nil || !strings.Contains(string(b), `"auc":{"value":null,"low":null,"high":null}`) {
			t.Errorf("%s, %v", b, err)
		}
	}
}

func TestReportErrors(t *testing.T) {
	p := planOf(t, written(5), 1)
	if _, err := p.Report(t.Context(), journal.Manifest{}, made{}, nil, Options{}); err == nil {
		t.Error("an empty manifest is taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Report(ctx, manifest("x"), perfect(p), nil, Options{Resamples: 5}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// TestReportIsPure holds that the same ratings give the same report.
func TestReportIsPure(t *testing.T) {
	p := planOf(t, written(30), 10)
	var all []string
	for range 3 {
		b, err := json.Marshal(reportOf(t, p, perfect(p), Again{Name: Against, Ratings: perfect(p)}))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	if all[0] != all[1] || all[0] != all[2] {
		t.Error("reports of the same ratings differ")
	}
}
