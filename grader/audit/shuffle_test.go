package audit

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/record"
)

// TestDerange holds the law of shuffled pairs for records that may repeat texts.
func TestDerange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab]{0,3}`)
		var list []*record.Record
		for i := range rapid.IntRange(0, 30).Draw(t, "n") {
			list = append(list, record.Made(i, text.Draw(t, "instruction"), text.Draw(t, "input"), text.Draw(t, "response")))
		}
		used := map[int]bool{}
		for i, to := range derange(list) {
			if to < 0 {
				continue
			}
			a, b := list[i], list[to]
			switch {
			case to == i || used[to]:
				t.Fatalf("record %d has the response of %d, used before: %t", i, to, used[to])
			case a.Response == b.Response || a.Instruction == b.Instruction && a.Input == b.Input:
				t.Fatalf("records %d and %d have the same response or prompt", i, to)
			case (a.Input == "") != (b.Input == ""):
				t.Fatalf("one of records %d and %d has an input", i, to)
			}
			used[to] = true
		}
	})
}

// TestDerangeDistinct holds that of distinct texts every record gets a partner, at
// most two places away in the order of lengths.
func TestDerangeDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfNDistinct(rapid.IntRange(1, 500), 2, 40, rapid.ID[int]).Draw(t, "lengths")
		input := rapid.SampledFrom([]string{"", "given"}).Draw(t, "input")
		var list []*record.Record
		for i, n := range lengths {
			list = append(list, record.Made(i, fmt.Sprint("task ", i), input, strings.Repeat("é", n)))
		}
		sorted := slices.Sorted(slices.Values(lengths))
		for i, to := range derange(list) {
			if to < 0 {
				t.Fatalf("record %d of %d has no partner", i, len(list))
			}
			a, b := slices.Index(sorted, lengths[i]), slices.Index(sorted, lengths[to])
			if d := int(math.Abs(float64(a - b))); d < 1 || d > 2 {
				t.Fatalf("records %d and %d are %d places apart by length", i, to, d)
			}
		}
	})
}

// TestDerangeConflict has neighbours that cannot exchange their responses.
func TestDerangeConflict(t *testing.T) {
	list := []*record.Record{
		record.Made(0, "first", "", "no"), record.Made(1, "second", "", "no"),
		record.Made(2, "third", "", "four"), record.Made(3, "fourth", "", "words"),
	}
	partner := derange(list)
	if slices.Contains(partner, -1) {
		t.Fatalf("partners are %v: those of records 0 and 1 are to be found further on", partner)
	}
	for _, n := range []int{0, 1} {
		if partner := derange(list[:n]); len(partner) != n || n == 1 && partner[0] != -1 {
			t.Errorf("%d records: partners %v", n, partner)
		}
	}
	if partner := derange(list[:2]); !slices.Equal(partner, []int{-1, -1}) {
		t.Errorf("two records with one response: partners %v", partner)
	}
}
