package grader

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// reportOf reports on rated records with these values.
func reportOf(s rating.Scale, values ...float64) *Report {
	r := newReport(s, []string{"test"})
	for _, x := range values {
		r.add(ratedEntry([]float64{x}, []float64{x / 10}), verdict.Verdict{Decision: verdict.Keep})
	}
	return r
}

// ratedEntry has a rating for each value.
func ratedEntry(values, offScale []float64) journal.Entry {
	e := journal.Entry{Status: record.OK}
	for i, x := range values {
		e.Ratings = append(e.Ratings, rating.Rating{Value: x, OffScale: offScale[i]})
	}
	return e
}

// A value counts where the nearest rating is, half way at the higher one.
func TestReportHistogram(t *testing.T) {
	for _, tc := range []struct {
		value float64
		want  int
	}{
		{0, 0}, {math.Nextafter(0.5, 0), 0}, {0.5, 1}, {1, 1}, {math.Nextafter(1.75, 0), 1}, {1.75, 2},
		{2.5, 2}, {math.Nextafter(3.75, 0), 2}, {3.75, 3}, {5, 3},
		{-0.001, 0}, {5.001, 3},
	} {
		r := reportOf(testScale(), tc.value)
		for i, b := range r.Histogram {
			if b.Rating != testScale().Strings[i] || (b.Count == 1) != (i == tc.want) {
				t.Errorf("value %v: histogram %v, want it at %q", tc.value, r.Histogram, testScale().Strings[tc.want])
			}
		}
	}
}

func TestReportCounts(t *testing.T) {
	r := reportOf(testScale(), 1, 2, 4.5)
	cut := ratedEntry([]float64{0.5}, []float64{0.25})
	cut.Cut = 3
	r.add(cut, verdict.Verdict{Decision: verdict.Drop})
	r.add(journal.Entry{Status: record.TooLong}, verdict.Verdict{Decision: verdict.Review})
	r.add(journal.Entry{Status: record.TooLong}, verdict.Verdict{Decision: verdict.Review})
	r.add(journal.Entry{Status: record.BadJSON}, verdict.Verdict{Decision: verdict.Review})

	var text bytes.Buffer
	if err := r.WriteText(&text, 40); err != nil {
		t.Fatal(err)
	}
	want := `7 records: 3 kept, 1 dropped, 3 without a rating, for review
       1 bad_json
       2 too_long
       1 rated with the middle of the response left out
mean rating 2.00, mean off-scale mass 0.250
       0       0 
       1       2 ███████████████████████
     2.5       1 ███████████▌
       5       1 ███████████▌
`
	if text.String() != want {
		t.Errorf("text:\n%s\nwant:\n%s", text.String(), want)
	}

	var line bytes.Buffer
	if err := r.WriteJSON(&line); err != nil {
		t.Fatal(err)
	}
	wantJSON := `{"kind":"summary","records":7,"kept":3,"dropped":1,"review":3,"statuses":{"bad_json":1,"ok":4,"too_long":2},"truncated":1,` +
		`"histogram":[{"rating":"0","count":0},{"rating":"1","count":2},{"rating":"2.5","count":1},{"rating":"5","count":1}],"mean_rating":2,"mean_offscale":0.25}` + "\n"
	if line.String() != wantJSON {
		t.Errorf("JSON:\n%s\nwant:\n%s", line.String(), wantJSON)
	}
}

// Without ratings there is no mean.
func TestReportWithoutRatings(t *testing.T) {
	r := newReport(testScale(), []string{"test"})
	r.add(journal.Entry{Status: record.NotGraded}, verdict.Verdict{Decision: verdict.Review})
	var text, line bytes.Buffer
	if err := errors.Join(r.WriteText(&text, 80), r.WriteJSON(&line)); err != nil {
		t.Fatal(err)
	}
	if want := "1 records: 0 kept, 0 dropped, 1 without a rating, for review\n       1 not_graded\n"; text.String() != want {
		t.Errorf("text %q, want %q", text.String(), want)
	}
	var got map[string]any
	if err := json.Unmarshal(line.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mean_rating", "mean_offscale"} {
		if x, ok := got[name]; x != nil || !ok {
			t.Errorf("%s is %v, there: %t; want null", name, x, ok)
		}
	}
}

// The histogram takes the width that it is given, whatever its labels.
func TestReportWidth(t *testing.T) {
	words := rating.Scale{Strings: []string{"unusable", "mäßig", "exemplary"}, Values: []float64{0, 1, 2}}
	for _, s := range []rating.Scale{testScale(), words} {
		for width := 24; width < 120; width += 5 {
			var b strings.Builder
			if err := reportOf(s, 0, 1, 1, 2, 2, 2).WriteText(&b, width); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
			widest := 0
			for _, l := range lines[len(lines)-len(s.Strings):] {
				widest = max(widest, utf8.RuneCountInString(l))
			}
			if widest != width {
				t.Errorf("width %d: the widest line has %d characters:\n%s", width, widest, b.String())
			}
		}
	}
	if err := reportOf(words, 1).WriteText(&strings.Builder{}, -5); err != nil {
		t.Errorf("no room at all: %v", err)
	}
	if err := reportOf(words, 1).WriteText(&full{}, 80); !errors.Is(err, errDisk) {
		t.Errorf("a full disk: error %v, want %v", err, errDisk)
	}
}

func TestBar(t *testing.T) {
	for _, tc := range []struct {
		share float64
		width int
		want  string
	}{
		{0, 10, ""}, {-1, 10, ""}, {math.NaN(), 10, ""}, {1, 0, ""}, {1, -3, ""},
		{1, 4, "████"}, {7, 4, "████"}, {math.Inf(1), 4, "████"}, {0.5, 4, "██"}, {0.5, 1, "▌"}, {0.125, 1, "▏"}, {0.875, 1, "▉"}, {0.99, 1, "█"},
	} {
		if got := Bar(tc.share, tc.width); got != tc.want {
			t.Errorf("Bar(%v, %d) = %q, want %q", tc.share, tc.width, got, tc.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 200).Draw(t, "width")
		a, b := rapid.Float64Range(0, 1).Draw(t, "a"), rapid.Float64Range(0, 1).Draw(t, "b")
		short, long := Bar(min(a, b), width), Bar(max(a, b), width)
		if n := utf8.RuneCountInString(long); n > width {
			t.Fatalf("Bar(%v, %d) has %d cells", max(a, b), width, n)
		}
		if eighths(short) > eighths(long) {
			t.Fatalf("Bar(%v, %d) = %q is longer than Bar(%v, %d) = %q", min(a, b), width, short, max(a, b), width, long)
		}
		if off := math.Abs(eighths(long) - 8*max(a, b)*float64(width)); off > 0.51 {
			t.Fatalf("Bar(%v, %d) = %q is off by %v eighths of a cell", max(a, b), width, long, off)
		}
	})
}

// eighths measures a bar.
func eighths(bar string) float64 {
	n := 0.0
	for _, r := range bar {
		n += 8 - float64(r-'█') // the characters behind it are an eighth less each
	}
	return n
}
