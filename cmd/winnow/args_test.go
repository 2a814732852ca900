package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestFlagsFirst(t *testing.T) {
	app := newApp(io.Discard, io.Discard)
	for _, c := range []struct{ in, want string }{
		{"winnow", "winnow"},
		{"winnow --version", "winnow --version"},
		{"winnow wat x", "winnow -- wat x"},
		{"winnow filter", "winnow filter"},
		{"winnow filter data.json", "winnow filter -- data.json"},
		{"winnow filter data.json --top 9000", "winnow filter --top 9000 -- data.json"},
		{"winnow filter data.json --top=9000 -o -", "winnow filter --top=9000 -o - -- data.json"},
		{"winnow filter --table data.json -o k", "winnow filter --table -o k -- data.json"},
		{"winnow filter --json data.json", "winnow filter --json -- data.json"},
		{"winnow filter -ngl 0 a -ub 64 b", "winnow filter -ngl 0 -ub 64 -- a b"},
		{"winnow filter a --min -1", "winnow filter --min -1 -- a"},
		{"winnow filter a -", "winnow filter -- a -"},
		{"winnow filter a --wat 3", "winnow filter --wat -- a 3"},
		{"winnow filter -- --odd.json", "winnow filter -- --odd.json"},
		{"winnow filter a -o k -- --top 3", "winnow filter -o k -- a --top 3"},
		{"winnow --debug filter a --json", "winnow --debug filter --json -- a"},
		{"winnow models quantize in --to Q8_0 -o out", "winnow models quantize --to Q8_0 -o out -- in"},
		{"winnow rubrics show NAME", "winnow rubrics show -- NAME"},
		{"winnow filter data.json --help", "winnow filter --help"},
		{"winnow filter data.json -h", "winnow filter -h"},
		{"winnow filter a --generate-bash-completion", "winnow filter a --generate-bash-completion"},
	} {
		args := strings.Fields(c.in)
		got, err := flagsFirst(app, args)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("flagsFirst(%s):\n got %q, %v\nwant %s", c.in, got, err, c.want)
		}
		if !slices.Equal(args, strings.Fields(c.in)) {
			t.Errorf("flagsFirst(%s) changed its argument to %q", c.in, args)
		}
	}
}

func TestFlagsFirstNoValue(t *testing.T) {
	app := newApp(io.Discard, io.Discard)
	for _, in := range []string{"winnow filter a -o", "winnow filter --top", "winnow models quantize in --to"} {
		got, err := flagsFirst(app, strings.Fields(in))
		if !errors.As(err, new(usageError)) {
			t.Errorf("flagsFirst(%s) = %q, %v; want a usage error", in, got, err)
		}
	}
}
