package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"winnow/grader"
	"winnow/grader/journal"
	"winnow/grader/record"
)

// However a process ends, what it was at is done again: a hundred failures leave
// a journal with the bytes of a run without any.
func TestFailures(t *testing.T) {
	t.Parallel()
	const records, each = 1500, 10
	ask, n := map[int]string{}, 0
	for _, failure := range failures {
		for k := range each {
			where := "rate"
			if k%4 == 3 {
				where = "encode"
			}
			ask[n*records/(each*len(failures))+k%3] = where + " " + failure + " once"
			n++
		}
	}
	if len(ask) != each*len(failures) {
		t.Fatalf("%d records ask for a failure, want %d", len(ask), each*len(failures))
	}
	data := corpus(records, ask)
	s := scripted(t)
	s.Lanes = 2
	whole, err := grade(t, data, harmless(s))
	if err != nil {
		t.Fatal(err)
	}
	e := start(t, options(t, s))
	path, err := grade(t, data, e)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, path), read(t, whole)) {
		t.Errorf("the journal differs from that of a run in one process: %s", firstDifference(read(t, path), read(t, whole)))
	}
	marks, err := os.ReadDir(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	// Some records that ask for a failure when they are rated are too long for it.
	if len(marks) < 9*len(ask)/10 {
		t.Errorf("%d of %d failures happened", len(marks), len(ask))
	}
}

func firstDifference(got, want []byte) string {
	a, b := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			return fmt.Sprintf("line %d is %s, want %s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}

// Records that end every process that rates or encodes them are left out with
// the reason; all others have the ratings, and the places, that they have without
// them.
func TestCulprits(t *testing.T) {
	t.Parallel()
	const records = 240
	ask := map[int]string{}
	for i, failure := range failures {
		ask[i*records/len(failures)+i] = "rate " + failure + " always"
	}
	ask[1] = "rate segv always" // a neighbour
	blamed(t, records, ask, true)
}

// Records that end every process that encodes them are none of a batch.
func TestEncodeCulprits(t *testing.T) {
	t.Parallel()
	blamed(t, 60, map[int]string{7: "encode segv always", 8: "rate exit always", 40: "encode garbage always"}, false)
}

// blamed checks that exactly the records that ask for a failure are left out, and
// where entries stand.
func blamed(t *testing.T, records int, ask map[int]string, inOrder bool) {
	t.Helper()
	data := corpus(records, ask)
	s := scripted(t)
	whole, err := grade(t, data, harmless(s))
	if err != nil {
		t.Fatal(err)
	}
	path, err := grade(t, data, start(t, options(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	want, got := entries(t, whole), entries(t, path)
	failed := 0
	for i, w := range want {
		k := slices.IndexFunc(got, func(e journal.Entry) bool { return e.Key == w.Key })
		if k < 0 {
			t.Fatalf("record %d has no entry", w.Index)
		}
		g, asked := got[k], ask[w.Index]
		if inOrder && k != i {
			t.Errorf("record %d stands at %d, want %d", w.Index, k, i)
		}
		if asked == "" || w.Reason == "the prompt does not fit" {
			if !reflect.DeepEqual(g, w) {
				t.Errorf("record %d: %+v, want %+v", w.Index, g, w)
			}
			continue
		}
		failed++
		if g.Status != record.EngineFailed || !strings.Contains(g.Reason, "the engine's process") {
			t.Errorf("record %d (%s): %+v, want the status %s", w.Index, asked, g, record.EngineFailed)
		}
		if strings.Contains(asked, "segv") && !strings.Contains(g.Reason, "SIGSEGV") {
			t.Errorf("record %d (%s): the reason %q does not name the signal", w.Index, asked, g.Reason)
		}
	}
	if failed < 3 || failed < len(ask)-2 { // some are too long to be rated
		t.Errorf("%d records are to blame, want %d", failed, len(ask))
	}
}

func entries(t *testing.T, path string) []journal.Entry {
	t.Helper()
	_, index, err := journal.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []journal.Entry
	for e := range index.All() {
		e.Ratings = slices.Clone(e.Ratings)
		for i, r := range e.Ratings {
			e.Ratings[i].Probs = slices.Clone(r.Probs)
		}
		all = append(all, e)
	}
	return all
}

// An engine that rates nothing is broken, and no record is blamed for it.
func TestBroken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		prompts int
		ask     map[int]string
		broken  bool
		least   int // entries
	}{
		{name: "from the start", prompts: 8, broken: true},
		{name: "from the start, one by one", prompts: 1, broken: true},
		{name: "later on", prompts: 2, ask: map[int]string{30: "rate abort breaking"}, least: 5},
		{name: "when it encodes", prompts: 8, ask: map[int]string{0: "encode abort always", 1: "encode abort always", 2: "encode exit always", 3: "encode exit always"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scripted(t)
			s.Prompts, s.Broken = c.prompts, c.broken
			path, err := grade(t, corpus(60, c.ask), start(t, options(t, s)))
			var died *Error
			if !errors.As(err, &died) || !strings.Contains(err.Error(), "fake.gguf") {
				t.Fatalf("error %v, want one of the model", err)
			}
			all := entries(t, path)
			for _, e := range all {
				if e.Status == record.EngineFailed {
					t.Errorf("record %d is blamed: %s", e.Index, e.Reason)
				}
			}
			if len(all) < c.least {
				t.Errorf("%d entries, want those of before, %d at least", len(all), c.least)
			}
		})
	}
}

// Where memory runs out, batches become smaller until they fit; the pipeline
// does not notice.
func TestMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		fits, loads int
		least       int // tokens that Smaller goes down to
		told        int // what Capacity says
		now         string
		fails       bool
	}{
		{name: "rating", fits: 100, least: 10, told: 400, now: "before=200 now=100"},
		{name: "loading", loads: 100, least: 10, told: 100, now: "now=100"},
		{name: "rating, always", fits: 1, least: 50, fails: true},
		{name: "loading, always", loads: 1, least: 50, fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scripted(t)
			s.MostFits, s.MostLoads = c.fits, c.loads
			o, log := options(t, s), &logged{}
			o.Log = log.logger()
			o.Smaller = halver(t, c.least)
			e, err := Start(t.Context(), o)
			if err == nil {
				defer func() {
					if err := e.Close(); err != nil {
						t.Error(err)
					}
				}()
			}
			batch := prompts(t, slices.Repeat([]string{"plain"}, 8)...)
			if c.told == 100 {
				batch = batch[:1]
			}
			out := make([]grader.Outcome, len(batch))
			if err == nil {
				_, err = e.Rate(t.Context(), batch, out)
			}
			if c.fails {
				if !errors.As(err, new(*Error)) || !strings.Contains(err.Error(), "smallest batch") {
					t.Fatalf("error %v, want one about memory", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := expected(t, batch); !reflect.DeepEqual(out, want) {
				t.Errorf("outcomes %+v, want %+v", out, want)
			}
			if got := e.Capacity().Tokens; got != c.told {
				t.Errorf("the capacity is %d tokens, want %d", got, c.told)
			}
			if n := strings.Count(log.String(), c.now); n != 1 {
				t.Errorf("the log says %q %d times, want once: %s", c.now, n, log)
			}
		})
	}
}

// A run that is interrupted ends soon, with what can still be finished.
func TestCancel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ask      string
		finishes bool
	}{{"rate hang always", false}, {"rate hang slow", true}} {
		t.Run(c.ask, func(t *testing.T) {
			t.Parallel()
			o := options(t, scripted(t))
			o.Limits.First, o.Limits.Cancel = time.Hour, 2*time.Second
			ctx, cancel := cancelable(t)
			e, err := Start(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			batch := prompts(t, "plain", c.ask)
			out := make([]grader.Outcome, len(batch))
			time.AfterFunc(100*time.Millisecond, cancel)
			began := time.Now()
			_, err = e.Rate(ctx, batch, out)
			if c.finishes {
				if err != nil || !reflect.DeepEqual(out, expected(t, batch)) {
					t.Errorf("error %v, outcomes %+v: want the batch finished", err, out)
				}
			} else if !errors.Is(err, ctx.Err()) {
				t.Errorf("error %v, want %v", err, ctx.Err())
			}
			if _, err := e.Rate(ctx, batch, out); !errors.Is(err, ctx.Err()) {
				t.Errorf("another batch: error %v, want %v", err, ctx.Err())
			}
			if err := e.Encode(&record.Record{}, &grader.Prompt{}); !errors.Is(err, ctx.Err()) {
				t.Errorf("another record: error %v, want %v", err, ctx.Err())
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v, want 5 s at most", took)
			}
			if !gone(e.PID()) {
				t.Error("the process is still there")
			}
		})
	}
}
