package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// table prints records with their ratings and verdicts: of one criterion the
// rating and its mode, of several the least rating and each one's.
type table struct {
	w        *tabwriter.Writer
	criteria []string
}

func newTable(w io.Writer, criteria []string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), criteria}
	columns := []string{"MODE"}
	if len(criteria) > 1 {
		columns = nil
		for _, name := range criteria {
			columns = append(columns, strings.ToUpper(excerpt(name, 24)))
		}
	}
	t.row("INDEX", "VERDICT", "RATING", columns, "INSTRUCTION", "RESPONSE")
	return t
}

// add prints a record. One without ratings has its status in their place.
func (t *table) add(rec *record.Record, e journal.Entry, v verdict.Verdict) {
	value, columns := "-", []string{string(e.Status)}
	switch {
	case len(e.Ratings) == 1:
		columns[0] = e.Ratings[0].Mode
	case len(e.Ratings) > 1:
		columns = nil
		for i := range e.Ratings {
			columns = append(columns, fmt.Sprintf("%.2f", e.Ratings[i].Value))
		}
	}
	for len(columns) < len(t.criteria) {
		columns = append(columns, "-")
	}
	if len(e.Ratings) > 0 {
		value = fmt.Sprintf("%.2f", e.Value())
	}
	t.row(strconv.Itoa(rec.Index), string(v.Decision), value, columns, excerpt(rec.Instruction, 40), excerpt(rec.Response, 40))
}

func (t *table) row(index, decision, value string, columns []string, instruction, response string) {
	fmt.Fprintf(t.w, "%s\t%s\t%s\t%s\t%s\t%s\n", index, decision, value, strings.Join(columns, "\t"), instruction, response)
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
