package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

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
