package audit

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"winnow/grader/record"
)

// derange gives each record the response of another one: partner[i] is whose, or -1
// where no other one fits. The partner has another prompt and another response, and
// an input if and only if the record has one. No two records have the same partner,
// and the partner's response is about as long as the record's own: neighbours in the
// order of lengths exchange theirs. So the length of a response says nothing about
// whether it is the true one.
func derange(records []*record.Record) (partner []int) {
	partner = make([]int, len(records))
	for i := range partner {
		partner[i] = -1
	}
	for _, withInput := range [...]bool{false, true} {
		var group []int
		for i, r := range records {
			if (r.Input != "") == withInput {
				group = append(group, i)
			}
		}
		slices.SortStableFunc(group, func(a, b int) int {
			return cmp.Compare(length(records[a]), length(records[b]))
		})
		for k, to := range deal(len(group), func(a, b int) bool { return unlike(records[group[a]], records[group[b]]) }) {
			if to >= 0 {
				partner[group[k]] = group[to]
			}
		}
	}
	return partner
}

// length is a response's, in characters.
func length(r *record.Record) int { return utf8.RuneCountInString(r.Response) }

// unlike reports whether b's response can stand for a wrong answer to a's prompt.
func unlike(a, b *record.Record) bool {
	return a.Response != b.Response && (a.Instruction != b.Instruction || a.Input != b.Input)
}

// deal returns for each of n places another one that fits it, each at most once, as
// near as can be; -1 where there is none.
func deal(n int, fits func(a, b int) bool) []int {
	to := make([]int, n)
	for i := range to {
		to[i] = i ^ 1 // neighbours exchange
	}
	switch {
	case n == 1:
		to[0] = 0
	case n%2 == 1:
		to[n-3], to[n-2], to[n-1] = n-2, n-1, n-3 // the last three go round
	}
	for i := range to {
		for d := 1; d < n && !fits(i, to[i]); d++ {
			for _, k := range [...]int{i - d, i + d} {
				if k >= 0 && k < n && fits(i, to[k]) && fits(k, to[i]) {
					to[i], to[k] = to[k], to[i]
					break
				}
			}
		}
	}
	for i := range to {
		if to[i] == i || !fits(i, to[i]) {
			to[i] = -1
		}
	}
	return to
}
