package grader

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"winnow/grader/dedup"
	"winnow/grader/selection"
	"winnow/grader/verdict"
)

// most picks the n that differ most.
func most(n int) selection.Options { return selection.Options{Rule: selection.KCenter, N: n} }

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
		"two": {FilterOptions{Rule: lowest, Pick: most(2)}, []string{
			"drop: rating 4.00 >= 0, not among the 2 picks, at most …", "keep: rating 5.00 >= 0, pick 1 of 2",
			"keep: rating 3.00 >= 0, pick 2 of 2, …from those before", "drop: rating 2.00 >= 0, not among the 2 picks, at most …", "review: …"}},
		"a limit comes first": {FilterOptions{Rule: verdict.Rule{Min: ptr(3.5)}, Pick: most(1)}, []string{
			"drop: rating 4.00 >= 3.5, not among the 1 picks", "keep: rating 5.00 >= 3.5, pick 1 of 1", "drop: rating 3.00 < 3.5", "drop: rating 2.00 < 3.5", "review: …"}},
		"duplicates go before": {FilterOptions{Rule: lowest, Pick: most(4), Dedup: dedup.Options{Mode: dedup.Near}}, []string{
			"drop: duplicate of record 1 …", "keep: …pick 1 of 3", "keep: …pick 2 of 3, …", "keep: …pick 3 of 3, …", "review: …"}},
		"all": {FilterOptions{Rule: lowest, Pick: most(9)}, []string{
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
	for _, o := range []FilterOptions{{Pick: most(-1)}, {Pick: most(2), Rule: verdict.Rule{Top: ptr(1)}}, {Pick: most(2), Rule: verdict.Rule{TopPercent: ptr(5.0)}}} {
		o.Kept = io.Discard
		if _, err := Filter(opener(data), known, o); err == nil || !strings.Contains(err.Error(), "pick records") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestFilterDeita(t *testing.T) {
	line := func(instruction, response, source string) string {
		return fmt.Sprintf("{\"instruction\":%q,\"output\":%q,\"source\":%s}\n", instruction, response, source)
	}
	const leaves = "Why do trees have leaves in the summer?"
	data := []byte(line(leaves, "To catch the light of the sun.", `"a"`) + line(leaves, "To catch the light of the sun!", `"b"`) +
		line("Name a colour.", "Red.", `"b"`) + line("Say hello in French.", "Bonjour!", `"b"`) + line("Add one and two.", "Three.", `null`) + "5\n")
	known := valued(t, data, 4, 5, 3, 2, 1)
	rule := verdict.Rule{Min: ptr(0.5)}
	by, err := verdict.CompileOrder("-rating", verdict.Vocabulary{Criteria: known.Criteria()})
	if err != nil {
		t.Fatal(err)
	}
	deita := func(n int, quotas ...selection.Quota) selection.Options {
		return selection.Options{Rule: selection.Deita, N: n, Quotas: quotas}
	}
	source := selection.Quota{Field: "source", Each: 2}
	for name, tc := range map[string]struct {
		o    FilterOptions
		want []string // how each verdict begins and ends
	}{
		"all": {FilterOptions{Rule: rule, Pick: deita(0)}, []string{
			"drop: rating 4.00 >= 0.5, cosine 1.00 > 0.9 to record 1 (x:2), pick 1", "keep: …pick 1 of 4, place 1 of 5", "keep: …pick 2 of 4, place 3 of 5", "keep: …", "keep: …", "review: …"}},
		"two": {FilterOptions{Rule: rule, Pick: deita(2)}, []string{
			"drop: …cosine …", "keep: …pick 1 of 2, place 1 of 5", "keep: …", "drop: …place 4 of 5, behind the 2 picks", "drop: …place 5 of 5, behind the 2 picks", "review: …"}},
		"a quota": {FilterOptions{Rule: rule, Pick: deita(0, source)}, []string{
			"drop: …cosine …", "keep: …pick 1 of 3, …", "keep: …pick 2 of 3, …", `drop: …source "b" has its quota of 2`, "keep: …pick 3 of 3, …", "review: …"}},
		"none without a source": {FilterOptions{Rule: rule, Pick: deita(0, selection.Quota{Field: "source", Each: selection.Unlimited, Of: map[string]int{"": 0}})}, []string{
			"drop: …cosine …", "keep: …", "keep: …", "keep: …", "drop: …no source has its quota of 0", "review: …"}},
		"the worst first": {FilterOptions{Rule: rule, Pick: deita(0), By: by}, []string{
			"keep: …pick 4 of 4, place 4 of 5", "drop: …cosine …, pick 4", "keep: …", "keep: …", "keep: …pick 1 of 4, place 1 of 5", "review: …"}},
		"a limit comes first": {FilterOptions{Rule: verdict.Rule{Min: ptr(4.5)}, Pick: deita(0)}, []string{
			"drop: rating 4.00 < 4.5", "keep: …pick 1 of 1, place 1 of 1", "drop: rating 3.00 < 4.5", "drop: …", "drop: …", "review: …"}},
	} {
		_, dropped, verdicts, _ := filterAll(t, data, known, tc.o)
		for i, v := range verdicts {
			got := strings.Replace(string(v.Decision)+": "+v.Reason, "("+records(t, data)[1].File+":", "(x:", 1)
			if !matches(got, tc.want[i]) {
				t.Errorf("%s: record %d: %q, want %q", name, i, got, tc.want[i])
			}
		}
		if name == "all" && !strings.Contains(string(dropped), `"resembles":1,"cosine":1`) {
			t.Errorf("the dropped file is %s", dropped)
		}
	}
	for want, o := range map[string]FilterOptions{
		"no record that can be picked has the field lang": {Rule: rule, Pick: deita(0, selection.Quota{Field: "lang", Each: 1})},
		"only the rule deita has an order":                {Rule: rule, Pick: most(2), By: by},
	} {
		o.Kept = io.Discard
		if _, err := Filter(opener(data), known, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// matches reports whether the parts of a pattern, with … between them, stand in s one after
// another, the first at its beginning and the last at its end.
func matches(s, pattern string) bool {
	parts := strings.Split(pattern, "…")
	if !strings.HasPrefix(s, parts[0]) || !strings.HasSuffix(s, parts[len(parts)-1]) {
		return false
	}
	for _, part := range parts {
		_, rest, ok := strings.Cut(s, part)
		if !ok {
			return false
		}
		s = rest
	}
	return true
}
