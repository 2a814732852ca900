package grader

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"winnow/grader/dedup"
	"winnow/grader/verdict"
)

func TestFilterDiverse(t *testing.T) {
	line := func(instruction, response string) string {
		return fmt.Sprintf("{\"instruction\":%q,\"output\":%q}\n", instruction, response)
	}
	data := []byte(line("Name a colour.", "Blue.") + line("Name a colour.", "Blue!") +
		line("Why do trees have leaves?", "To catch the light of the sun.") + line("Name a colour.", "Red.") + "5\n")
	known := valued(t, data, 4, 5, 3, 2)
	lowest := verdict.Rule{Min: ptr(0.0)}
	for name, tc := range map[string]struct {
		o    FilterOptions
		want []string // how each verdict begins and ends
	}{
		"two": {FilterOptions{Rule: lowest, Diverse: 2}, []string{
			"drop: rating 4.00 >= 0, not among the 2 picks, at most …", "keep: rating 5.00 >= 0, pick 1 of 2",
			"keep: rating 3.00 >= 0, pick 2 of 2, …from those before", "drop: rating 2.00 >= 0, not among the 2 picks, at most …", "review: …"}},
		"a limit comes first": {FilterOptions{Rule: verdict.Rule{Min: ptr(3.5)}, Diverse: 1}, []string{
			"drop: rating 4.00 >= 3.5, not among the 1 picks", "keep: rating 5.00 >= 3.5, pick 1 of 1", "drop: rating 3.00 < 3.5", "drop: rating 2.00 < 3.5", "review: …"}},
		"duplicates go before": {FilterOptions{Rule: lowest, Diverse: 4, Dedup: dedup.Options{Mode: dedup.Near}}, []string{
			"drop: duplicate of record 1 …", "keep: …pick 1 of 3", "keep: …pick 2 of 3, …", "keep: …pick 3 of 3, …", "review: …"}},
		"all": {FilterOptions{Rule: lowest, Diverse: 9}, []string{
			"keep: …pick 4 of 4, 0.000 from those before", "keep: …pick 1 of 4", "keep: …", "keep: …", "review: …"}},
	} {
		kept, dropped, verdicts, report := filterAll(t, data, known, tc.o)
		if len(verdicts) != len(tc.want) {
			t.Fatalf("%s: %d verdicts", name, len(verdicts))
		}
		keep := 0
		for i, v := range verdicts {
			got := string(v.Decision) + ": " + v.Reason
			begin, end, open := strings.Cut(tc.want[i], "…")
			if !strings.HasPrefix(got, begin) || !open && got != begin || !strings.Contains(got, strings.TrimSuffix(end, "…")) {
				t.Errorf("%s: record %d: %q, want %q", name, i, got, tc.want[i])
			}
			if v.Decision == verdict.Keep {
				keep++
			}
		}
		if report.Kept != keep || len(readBack(t, kept)) != keep || len(readBack(t, dropped)) != len(verdicts)-keep {
			t.Errorf("%s: %d kept, %d told", name, keep, report.Kept)
		}
		// What is kept is as it was, in the order of the source.
		at := 0
		for _, l := range strings.SplitAfter(string(data), "\n") {
			if strings.HasPrefix(string(kept[at:]), l) {
				at += len(l)
			}
		}
		if at != len(kept) {
			t.Errorf("%s: kept %q", name, kept)
		}
		again, _, _, _ := filterAll(t, data, known, tc.o)
		if !slices.Equal(kept, again) {
			t.Errorf("%s: another time %q is kept, not %q", name, again, kept)
		}
	}
	for _, o := range []FilterOptions{{Diverse: -1}, {Diverse: 2, Rule: verdict.Rule{Top: ptr(1)}}, {Diverse: 2, Rule: verdict.Rule{TopPercent: ptr(5.0)}}} {
		o.Kept = io.Discard
		if _, err := Filter(opener(data), known, o); err == nil || !strings.Contains(err.Error(), "diverse") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
