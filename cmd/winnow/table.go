package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// table prints records with their ratings and verdicts.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t.w, "INDEX\tVERDICT\tRATING\tMODE\tINSTRUCTION\tRESPONSE")
	return t
}

func (t *table) add(rec *record.Record, e journal.Entry, v verdict.Verdict) {
	value, mode := "-", string(e.Status)
	if e.Rating != nil {
		value, mode = fmt.Sprintf("%.2f", e.Rating.Value), e.Rating.Mode
	}
	fmt.Fprintf(t.w, "%d\t%s\t%s\t%s\t%s\t%s\n", rec.Index, v.Decision, value, mode, excerpt(rec.Instruction, 40), excerpt(rec.Response, 40))
}

func (t *table) flush() error { return t.w.Flush() }

// excerpt returns at most n characters of s on one line, safe for a terminal:
// control characters would let a record's text move the cursor.
func excerpt(s string, n int) string {
	var b strings.Builder
	for _, r := range strings.Join(strings.Fields(s), " ") {
		if n--; n == 0 {
			return b.String() + "…"
		}
		b.WriteString(visible(r))
	}
	return b.String()
}

// visible returns r, or its code point if a terminal would act on it.
func visible(r rune) string {
	if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
		return fmt.Sprintf("<U+%04X>", r)
	}
	return string(r)
}
