package cascade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"winnow/grader/journal"
	"winnow/grader/record"
)

func TestPerfectSmall(t *testing.T) {
	w := newWorld(t, 600, func(_ int, large float64, _ *rand.Rand) float64 {
		if large >= 3 {
			return 4.5
		}
		return 0.5
	})
	p, r, err := w.plan(Options{Min: 3, Agreement: 0.99, Sample: 100, Check: 50, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	report := w.write(p, r)
	if len(r.Band) != 0 || p.Band.Inside != 0 || report.Share != 0.25 || report.Checked.Wrong != 0 || report.Checked.Agreement.Value != 1 {
		t.Errorf("band %v with %d records, %+v", p.Band.Band, len(r.Band), report)
	}
	_, entries := w.result()
	for i, e := range entries {
		if keep := w.large.says(i) >= 3; keep != (e.Calibrated >= 0.5) {
			t.Errorf("record %d: probability %g, large gives %g", i, e.Calibrated, w.large.says(i))
		}
	}
}

func TestRandomSmall(t *testing.T) {
	w := newWorld(t, 300, func(_ int, _ float64, random *rand.Rand) float64 { return 5 * random.Float64() })
	p, r, err := w.plan(Options{Min: 2.5, Agreement: 1, Sample: 100, Check: 10, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	report := w.write(p, r)
	if report.Share < 0.9 {
		t.Errorf("large rates a share of %g, band %v", report.Share, p.Band.Band)
	}
	if (report.Share == 1) != (len(r.Check) == 0) || (report.Checked == nil) != (len(r.Check) == 0) {
		t.Errorf("band %v, %d records to check, %+v", p.Band.Band, len(r.Check), report.Checked)
	}
}

// noisy is a small judge that is right where large is sure.
func noisy(t *testing.T) *world {
	return newWorld(t, 2000, func(_ int, large float64, random *rand.Rand) float64 { return large + 0.5*random.NormFloat64() })
}

func TestNoisySmall(t *testing.T) {
	w := noisy(t)
	percent := 30.0
	p, r, err := w.plan(Options{TopPercent: &percent, Agreement: 0.97, Sample: 400, Check: 200, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	report := w.write(p, r)
	if p.Keep != 120 || len(r.Sample) != 400 || len(r.Check) != 200 || len(r.Band) == 0 {
		t.Fatalf("large keeps %d of the sample of %d, band of %d, check of %d", p.Keep, len(r.Sample), len(r.Band), len(r.Check))
	}
	m, entries := w.result()
	agree, kept, byLarge, wrong := 0, 0, 0, 0
	for i, e := range entries {
		key, keep := w.records[i].Key, w.large.says(i) >= p.Cut-1e-6 // scores files have seven digits
		if r.Large().Has(key) {
			byLarge++
			if e.Calibrated != float64(class(keep)) {
				t.Errorf("record %d: probability %g, large says %t", i, e.Calibrated, keep)
			}
			continue
		}
		if p.Band.Band.Has(e.Calibrated) || e.Calibrated <= 0 || e.Calibrated >= 1 {
			t.Errorf("record %d: small decides with a probability of %g, the band is %v", i, e.Calibrated, p.Band.Band)
		}
		if keep == (e.Calibrated >= 0.5) {
			agree++
		} else {
			wrong++
		}
	}
	for _, e := range entries {
		if e.Calibrated >= 0.5 {
			kept++
		}
	}
	outside := len(entries) - len(r.Sample)
	if share := 1 - float64(wrong)/float64(outside); share < 0.94 || share < float64(report.Checked.Agreement.Low)-0.02 || share > float64(report.Checked.Agreement.High)+0.02 {
		t.Errorf("agreement %g, expected %v, checked %v", share, p.Band.Agreement, report.Checked.Agreement)
	}
	if report.Kept != kept || report.Rated != 2000 || math.Abs(float64(report.Share)-float64(byLarge)/2000) > 1e-9 || report.Share > 0.7 {
		t.Errorf("%+v: %d kept, %d by large", report, kept, byLarge)
	}
	if c := report.Tokens; math.Abs(float64(c.LargeAlone-c.Small)) > 1 || math.Abs(float64(c.Share-report.Share)) > 0.02 {
		t.Errorf("tokens %+v, large's share of the records is %g", c, report.Share)
	}
	s := report.Time(Took{Small: Timing{2000, 10}, Sample: Timing{60, 3}, Band: Timing{40, 2}, Learn: 1})
	if math.Abs(float64(s.Cascade)-11-0.05*float64(byLarge)) > 1e-9 || math.Abs(float64(s.LargeAlone)-100) > 3 {
		t.Errorf("%+v", s)
	}
	if none := report.Time(Took{}); !math.IsNaN(float64(none.Share)) {
		t.Errorf("nothing timed: %+v", none)
	}
	if m.Calibration == nil || *m.Calibration != (journal.Calibration{Name: "cascade", SHA256: p.SHA256()}) || m.Hidden != nil ||
		m.Settings["cascade_model_sha256"] != w.large.Manifest().Model.SHA256 || m.Settings["cascade_seed"] != "3" || m.Settings["ctx_size"] != "512" {
		t.Errorf("manifest %+v", m)
	}
}

// The plan is in the evidence, and its hash is of the bytes there.
func TestEvidence(t *testing.T) {
	w := noisy(t)
	p, r, err := w.plan(Options{Min: 3, Agreement: 0.95, Sample: 100, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(p.Evidence(w.write(p, r), Seconds{})); err != nil {
		t.Fatal(err)
	}
	var e struct {
		Plan   json.RawMessage `json:"plan"`
		SHA256 string          `json:"plan_sha256"`
	}
	if err := json.Unmarshal(b.Bytes(), &e); err != nil {
		t.Fatal(err)
	}
	if again := (&Plan{raw: e.Plan}).SHA256(); again != e.SHA256 || again != p.SHA256() {
		t.Errorf("the plan's bytes have the hash %s, its file says %s", again, e.SHA256)
	}
	for i := 1; i < len(p.Curve); i++ {
		if a, b := p.Curve[i-1], p.Curve[i]; a.Share > b.Share || a.Agreement.Value > b.Agreement.Value {
			t.Errorf("the curve falls from %+v to %+v", a, b)
		}
	}
	if last := p.Curve[len(p.Curve)-1]; last.Agreement.Value != 1 {
		t.Errorf("the curve ends at %+v", last)
	}
}

// A result that was cut off, or deleted, comes back with the same bytes.
func TestResume(t *testing.T) {
	w := noisy(t)
	o := Options{Min: 3, Agreement: 0.95, Sample: 100, Check: 30, Seed: 1}
	p, r, err := w.plan(o)
	if err != nil {
		t.Fatal(err)
	}
	first := w.write(p, r)
	whole, err := os.ReadFile(w.outAt)
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range []int{0, len(whole) / 3, len(whole) - 5, len(whole)} {
		if err := os.WriteFile(w.outAt, whole[:left], 0o666); err != nil {
			t.Fatal(err)
		}
		p, r, err := w.plan(o)
		if err != nil {
			t.Fatal(err)
		}
		again := w.write(p, r)
		if b, err := os.ReadFile(w.outAt); err != nil || !bytes.Equal(b, whole) {
			t.Errorf("cut to %d bytes: another file (%v)", left, err)
		}
		if a, b := fmt.Sprintf("%+v", *again.Checked), fmt.Sprintf("%+v", *first.Checked); a != b || again.Kept != first.Kept {
			t.Errorf("cut to %d bytes: another report, %s for %s", left, a, b)
		}
	}
	o.Agreement = 0.99
	if p, r, err = w.plan(o); err != nil {
		t.Fatal(err)
	}
	w.grade(w.large, w.largeAt, Only(record.FromList(w.records), r.Large(), 0))
	if _, err := p.Write(context.Background(), r, w.smallAt, w.largeAt, w.outAt); err == nil || !strings.Contains(err.Error(), "calibration") {
		t.Errorf("verdicts of another band are mixed: %v", err)
	}
}

func TestUnratedByLarge(t *testing.T) {
	w := noisy(t)
	rated := w.large.says
	w.large.says = func(n int) float64 {
		if n%9 == 0 {
			return math.NaN()
		}
		return rated(n)
	}
	small := w.small.says
	w.small.says = func(n int) float64 {
		if n%100 == 1 {
			return math.NaN()
		}
		return small(n)
	}
	p, r, err := w.plan(Options{Min: 3, Agreement: 0.97, Sample: 200, Check: 100, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	report := w.write(p, r)
	_, entries := w.result()
	inside, outside, unrated := 0, 0, 0
	for i, e := range entries {
		if e.Status != record.OK {
			unrated++
		}
		switch key := w.records[i].Key; {
		case i%100 == 1:
			if e.Status != record.TooLong || e.Reason != "small cannot" {
				t.Errorf("record %d: %s, %s", i, e.Status, e.Reason)
			}
		case i%9 != 0 || !r.Large().Has(key):
		case r.Band.Has(key):
			inside++
			if e.Status != record.TooLong || e.Reason != "large cannot" || len(e.Ratings) > 0 {
				t.Errorf("record %d of the band: %+v", i, e)
			}
		case r.Check.Has(key):
			outside++
			if e.Status != record.OK || p.Band.Band.Has(e.Calibrated) {
				t.Errorf("record %d of the check: %+v", i, e)
			}
		}
	}
	if inside == 0 || outside == 0 || unrated != report.Unrated || report.Checked.Records != len(r.Check)-outside || p.Unrated == 0 {
		t.Errorf("%d inside and %d outside, %d unrated: %+v", inside, outside, unrated, report)
	}
}

func TestTooFew(t *testing.T) {
	w := noisy(t)
	for _, least := range []float64{0, 4.99} {
		_, _, err := w.plan(Options{Min: least, Agreement: 0.95, Sample: 100, Seed: 1})
		if err == nil || !strings.Contains(err.Error(), "want at least 10 of each: give a larger --cascade-sample") {
			t.Errorf("cut %g: %v", least, err)
		}
	}
	all, err := Draw(w.smallAt, 300, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Learn(context.Background(), w.smallAt, w.largeAt, all, Options{Min: 3, Agreement: 0.95, Sample: 300, Seed: 1}); err == nil || !strings.Contains(err.Error(), "has no entry in "+w.largeAt) {
		t.Errorf("a sample that large did not rate: %v", err)
	}
}

// A sample depends on texts and seed, and a smaller one is part of a larger one.
func TestDraw(t *testing.T) {
	w := noisy(t)
	w.grade(w.small, w.smallAt, record.FromList(w.records))
	few, err := Draw(w.smallAt, 50, 1)
	if err != nil {
		t.Fatal(err)
	}
	many, err := Draw(w.smallAt, 500, 1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Draw(w.smallAt, 50, 2)
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for key := range few {
		if !many.Has(key) {
			t.Errorf("record %s is in the smaller sample alone", key)
		}
		if other.Has(key) {
			same++
		}
	}
	if len(few) != 50 || len(many) != 500 || len(other) != 50 || same > 10 {
		t.Errorf("%d, %d and %d records, %d with both seeds", len(few), len(many), len(other), same)
	}
}

func TestOnlyStopsAtTheLimit(t *testing.T) {
	w := noisy(t)
	all := Set{}
	for _, rec := range w.records {
		all[rec.Key] = struct{}{}
	}
	delete(all, w.records[2].Key)
	src, n := Only(record.FromList(w.records), all, 5), 0
	for {
		rec, err := src.Next()
		if err != nil {
			break
		}
		if n++; rec.Index == 2 || rec.Index > 4 {
			t.Errorf("record %d", rec.Index)
		}
	}
	if n != 4 {
		t.Errorf("%d records, want 4", n)
	}
}
