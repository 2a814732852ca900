package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// One criterion has its mode beside its rating, several have a column each.
func TestTable(t *testing.T) {
	rated := func(ratings ...rating.Rating) journal.Entry {
		return journal.Entry{Status: record.OK, Ratings: ratings}
	}
	high, low := rating.Rating{Value: 4.625, Mode: "5"}, rating.Rating{Value: 3.1, Mode: "3"}
	for _, c := range []struct {
		criteria []string
		rated    journal.Entry
		want     string
	}{
		{[]string{"accuracy"}, rated(high), `
INDEX  VERDICT  RATING  MODE      INSTRUCTION  RESPONSE
0      keep     4.62    5         Say a.       a
1      review   -       too_long  Say b.       b
`},
		{[]string{"accuracy", "b\x1b"}, rated(high, low), `
INDEX  VERDICT  RATING  ACCURACY  B<U+001B>  INSTRUCTION  RESPONSE
0      keep     3.10    4.62      3.10       Say a.       a
1      review   -       too_long  -          Say b.       b
`},
	} {
		var b strings.Builder
		table := newTable(&b, c.criteria)
		table.add(&record.Record{Index: 0, Instruction: "Say a.", Response: "a"}, c.rated, verdict.Verdict{Decision: verdict.Keep})
		table.add(&record.Record{Index: 1, Instruction: "Say b.", Response: "b"}, journal.Entry{Status: record.TooLong}, verdict.Verdict{Decision: verdict.Review})
		if err := table.flush(); err != nil {
			t.Fatal(err)
		}
		if got := "\n" + b.String(); got != c.want {
			t.Errorf("%q:%s\nwant:%s", c.criteria, got, c.want)
		}
	}
}

func TestExcerpt(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"", 10, ""},
		{"short", 10, "short"},
		{"exactly 10", 11, "exactly 10"},
		{"one two three", 8, "one two…"},
		{"  a\n\tb \r\n c  ", 10, "a b c"},
		{"éèêëē", 4, "éèê…"},
		{"a\x1b[31mb", 20, "a<U+001B>[31mb"},
		{"a\x00b\x7fc\u009bd", 20, "a<U+0000>b<U+007F>c<U+009B>d"},
		{"left\u202eright", 20, "left<U+202E>right"},
		{"zero\u200bwidth", 20, "zero<U+200B>width"},
		{"bad\xffbyte", 20, "bad\ufffdbyte"},
		{"\x1b\x1b\x1b", 2, "<U+001B>…"},
	} {
		got := excerpt(c.in, c.n)
		if got != c.want {
			t.Errorf("excerpt(%q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\t\x1b\x00") {
			t.Errorf("excerpt(%q, %d) = %q is not safe for a terminal", c.in, c.n, got)
		}
	}
}

func TestVisible(t *testing.T) {
	for r, want := range map[rune]string{
		'a': "a", 'é': "é", '好': "好", ' ': " ",
		'\n': "<U+000A>", '\a': "<U+0007>", '\u0085': "<U+0085>", '\u061c': "<U+061C>", '\ufeff': "<U+FEFF>", '\U000e0041': "<U+E0041>",
	} {
		if got := visible(r); got != want {
			t.Errorf("visible(%U) = %q, want %q", r, got, want)
		}
	}
}
