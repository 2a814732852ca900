package grader

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"winnow/grader/journal"
	"winnow/grader/record"
)

// byState is a calibration that goes by the hidden state and fails at one entry.
type byState struct {
	fail record.Key
}

var errState = errors.New("the state is odd")

func (byState) Manifest() journal.Calibration {
	return journal.Calibration{Name: "state.json", SHA256: "55aa"}
}

func (c byState) Probability(e *journal.Entry) (float64, error) {
	if e.Key == c.fail {
		return 0, errState
	}
	if e.Status != record.OK || len(e.Ratings) != 1 || len(e.Signals) != 3 || len(e.Hidden) != 4 {
		return 0, fmt.Errorf("asked about %+v", *e)
	}
	return (float64(e.Hidden[0]) + 100) / 256, nil
}

// calibrated grades data into the journal at path.
func calibrated(t *testing.T, path string, data []byte, o GradeOptions) error {
	t.Helper()
	e := newMeasuring()
	j, err := journal.Open(path, Manifest(e, o))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Grade(t.Context(), reader(data), e, j, j, o)
	return errors.Join(err, j.Close())
}

// Signals and hidden states are the engine's to the last bit, and stand beside their
// own record.
func TestGradeSignals(t *testing.T) {
	data := corpus(300)
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	if err := run(t.Context(), t, path, data, newMeasuring(), nil); err != nil {
		t.Fatal(err)
	}
	rated, infinite, undefined := 0, 0, 0
	if _, err := journal.Scan(path, func(journal.Manifest) {}, func(s journal.Score) error {
		if s.Status != record.OK {
			if len(s.Entry.Signals)+len(s.Entry.Hidden) > 0 {
				t.Errorf("an entry of status %s has signals: %+v", s.Status, s.Entry)
			}
			return nil
		}
		rated++
		want := outcome(s.Key)
		if !slices.Equal(s.Entry.Hidden, want.Hidden) {
			t.Errorf("the hidden state is %v, want %v", s.Entry.Hidden, want.Hidden)
		}
		for i, x := range s.Entry.Signals {
			w := want.Signals[i]
			switch {
			case math.IsNaN(w) && math.IsNaN(x):
				undefined++
			case w > math.MaxFloat32 && math.IsInf(x, 1):
				infinite++
			case float32(x) != float32(w):
				t.Errorf("signal %d is %v, want %v", i, x, w)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if rated < 100 || infinite < 10 || undefined < 10 {
		t.Errorf("%d entries, %d signals that are infinite, %d that are undefined", rated, infinite, undefined)
	}
}

// A calibration sees all that the engine gave; the journal has its probability, and
// the hidden state only if that is asked for. Resumed, the bytes are the same.
func TestGradeCalibration(t *testing.T) {
	data := corpus(300)
	for _, drop := range []bool{false, true} {
		o := GradeOptions{MaxOffScale: 0.3, window: 60, Calibration: byState{}, DropHidden: drop}
		path := filepath.Join(t.TempDir(), "scores.jsonl")
		if err := calibrated(t, path, data, o); err != nil {
			t.Fatal(err)
		}
		m, x, err := journal.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if c := m.Calibration; c == nil || *c != o.Calibration.Manifest() || (m.Hidden == nil) != drop || len(m.Signals) != 3 {
			t.Errorf("the manifest has the calibration %+v and the hidden state %v", c, m.Hidden)
		}
		whole := contents(t, path)
		if bytes.Contains(whole, []byte(`"hidden":`)) == drop {
			t.Errorf("dropped is %t, the journal has hidden states: %t", drop, !drop)
		}
		rated := 0
		for e := range x.All() {
			want := 0.0
			if e.Status == record.OK {
				want = float64(e.Key[0]) / 256
				rated++
			}
			if e.Calibrated != want {
				t.Errorf("entry %s of status %s has the probability %v, want %v", e.Key, e.Status, e.Calibrated, want)
			}
		}
		if rated < 100 {
			t.Errorf("%d rated entries, want at least 100", rated)
		}

		for _, n := range []int{0, 1, len(whole) / 3, len(whole) - 1} {
			overwrite(t, path, whole[:n])
			if err := calibrated(t, path, data, o); err != nil || !bytes.Equal(contents(t, path), whole) {
				t.Errorf("resumed after %d bytes: %v, %d bytes, want the same %d", n, err, len(contents(t, path)), len(whole))
			}
		}

		// An error has the record's place; what came before stands.
		entries := slices.Collect(x.All())
		at := slices.IndexFunc(entries, func(e journal.Entry) bool { return e.Status == record.OK && e.Index > 100 })
		fails := o
		fails.Calibration = byState{entries[at].Key}
		overwrite(t, path, nil)
		err = calibrated(t, path, data, fails)
		if want := fmt.Sprintf("records.jsonl:%d: calibrate record %d: the state is odd", entries[at].Index+1, entries[at].Index); !errors.Is(err, errState) || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		if left := contents(t, path); !bytes.HasPrefix(whole, left) || bytes.Count(left, []byte("\n")) != at+1 {
			t.Errorf("after the error the journal has %d bytes in %d lines, want the first %d lines", len(left), bytes.Count(left, []byte("\n")), at+1)
		}
		if err := calibrated(t, path, data, o); err != nil || !bytes.Equal(contents(t, path), whole) {
			t.Errorf("resumed after the error: %v", err)
		}
	}
	if m := Manifest(newMeasuring(), GradeOptions{}); m.Calibration != nil || m.Hidden == nil {
		t.Errorf("without a calibration: %+v", m)
	}
}

// A conversation has the signals of the turn that counts, or the means.
func TestTurnsSignals(t *testing.T) {
	turn := func(p, q []float64, calibrated float64, signals ...float64) journal.Entry {
		e := rates(rated(t, p...), rated(t, q...))
		e.Signals, e.Calibrated = signals, calibrated
		return e
	}
	low, mid, high := []float64{0.6, 0.2, 0, 0}, []float64{0, 0, 0.5, 0}, []float64{0, 0, 0.1, 0.8}
	turns, known := conversationOf(turn(mid, high, 0.5, 1, math.Inf(1), 4), turn(high, low, 0.25, 2, 6, math.NaN()), turn(high, high, 0.75, 6, 1, 1))
	for how, want := range map[Turns]journal.Entry{
		MinTurn:  {Signals: []float64{2, 6, math.NaN()}, Calibrated: 0.25},
		"":       {Signals: []float64{2, 6, math.NaN()}, Calibrated: 0.25},
		LastTurn: {Signals: []float64{6, 1, 1}, Calibrated: 0.75},
		MeanTurn: {Signals: []float64{3, math.Inf(1), math.NaN()}, Calibrated: 0.5},
	} {
		got := newCandidate(wide{known}, turns, how).entry
		if !reflect.DeepEqual(numbered(journal.Entry{Signals: got.Signals}), numbered(journal.Entry{Signals: want.Signals})) || !near(got.Calibrated, want.Calibrated) {
			t.Errorf("%q: signals %v, probability %v; want %v, %v", how, got.Signals, got.Calibrated, want.Signals, want.Calibrated)
		}
	}
	// The turns' own stay as they are.
	if e, _ := known.Lookup(turns[0].Key); !slices.Equal(e.Signals, []float64{1, math.Inf(1), 4}) {
		t.Errorf("the first turn's signals became %v", e.Signals)
	}
	// A turn without a rating leaves the conversation without signals.
	turns, known = conversationOf(turn(mid, high, 0.5, 1), journal.Entry{Status: record.TooLong, Reason: "long"})
	if got := newCandidate(wide{known}, turns, MeanTurn).entry; got.Signals != nil || got.Calibrated != 0 || !strings.HasPrefix(got.Reason, "turn 2") {
		t.Errorf("a turn is unrated: %+v", got)
	}
}

func overwrite(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}
