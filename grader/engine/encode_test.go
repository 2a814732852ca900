package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"winnow/grader"
	"winnow/grader/prompt"
	"winnow/grader/record"
	"winnow/internal/tinygguf"
)

// numbered is a response whose beginning and end can be told apart.
func numbered(words int) string {
	var b strings.Builder
	for i := range words {
		fmt.Fprintf(&b, "word %d, ", i)
	}
	return b.String()
}

func TestTruncate(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		e := open(t, kind, Options{Ctx: 512, TooLong: Truncate})
		short := record.Record{Instruction: "Count.", Response: "one two"}
		if p := encode(t, e, short)[0]; p.Cut != 0 {
			t.Errorf("a short record: %d tokens were cut", p.Cut)
		}
		rec := record.Record{Instruction: "Count.", Response: numbered(400)}
		p := encode(t, e, rec)[0]
		if p.Total != 512 || p.Size != len(p.Tokens)+e.tail.size() || p.Total != e.PrefixTokens()+p.Size {
			t.Errorf("%d tokens, %d of them its own, want the context of 512 filled", p.Total, p.Size)
		}
		whole, err := e.tok.record(nil, rec.Response)
		if err != nil {
			t.Fatal(err)
		}
		trace, err := e.Trace(&rec, 0)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		kept := 0
		for _, tok := range trace {
			if tok.Field == prompt.Response {
				text.WriteString(tok.Text)
				kept++
			}
		}
		head, tail, found := strings.Cut(text.String(), cutMark)
		if !found || !strings.HasPrefix(rec.Response, head) || !strings.HasSuffix(rec.Response, tail) || len(head) < 100 || len(tail) < 100 {
			t.Errorf("%q is not the head and the tail of the response, with the mark between", &text)
		}
		mark, err := e.tok.next(nil, cutMark, false)
		if err != nil {
			t.Fatal(err)
		}
		if want := len(whole) + len(mark) - kept; p.Cut != want || want <= 0 {
			t.Errorf("%d tokens were cut, want %d", p.Cut, want)
		}
		if rate(t, e, p)[0].Mode == "" {
			t.Error("no rating")
		}

		// A response that must be cut to less than is worth rating.
		rec.Instruction = strings.Repeat("Count to ten. ", 40)
		var fault *record.Fault
		if err := e.Encode(&rec, new(grader.Prompt)); !errors.As(err, &fault) || fault.Status != record.TooLong || !strings.Contains(fault.Reason, "truncating would leave") || !strings.Contains(fault.Reason, "raise -c") {
			t.Errorf("a long instruction: %v, want the fault %s", err, record.TooLong)
		}
	})
}

func TestSkip(t *testing.T) {
	e := open(t, tinygguf.BPE, Options{Ctx: 512})
	// The longest response that fits, and one token more.
	fits := encode(t, e, record.Record{Instruction: "Count.", Response: "1"})[0]
	room := 512 - fits.Total
	if p := encode(t, e, record.Record{Instruction: "Count.", Response: "1" + strings.Repeat("2", room)})[0]; p.Total != 512 || p.Cut != 0 {
		t.Errorf("the longest record has %d tokens, %d cut, want 512 and none", p.Total, p.Cut)
	}
	var fault *record.Fault
	err := e.Encode(&record.Record{Instruction: "Count.", Response: "1" + strings.Repeat("2", room+1)}, new(grader.Prompt))
	if !errors.As(err, &fault) || fault.Status != record.TooLong {
		t.Fatalf("one token more: %v, want the fault %s", err, record.TooLong)
	}
	for _, want := range []string{"it has 513 tokens", "holds 512", "raise -c", "--too-long truncate"} {
		if !strings.Contains(fault.Reason, want) {
			t.Errorf("reason %q lacks %q", fault.Reason, want)
		}
	}
}

// TestHuge encodes 50 MB of text: it must not take longer than it takes to see
// that it is too long.
func TestHuge(t *testing.T) {
	huge := strings.Repeat("The world is large. ", 50<<20/20)
	for _, how := range []TooLong{Skip, Truncate} {
		e := open(t, tinygguf.BPE, Options{TooLong: how})
		for field, rec := range map[prompt.Field]record.Record{
			prompt.Instruction: {Instruction: huge, Response: "Yes."},
			prompt.Response:    {Instruction: "Describe it.", Response: huge},
		} {
			start := time.Now()
			var p grader.Prompt
			err := e.Encode(&rec, &p)
			if took := time.Since(start); took > time.Second {
				t.Errorf("%s, long %s: %v, want less than a second", how, field, took)
			}
			if how == Truncate && field == prompt.Response {
				if err != nil || p.Total != e.Options().Ctx || p.Cut == 0 {
					t.Errorf("a long response: %d tokens, %d cut, %v, want the context filled", p.Total, p.Cut, err)
				}
				continue
			}
			var fault *record.Fault
			if !errors.As(err, &fault) || fault.Status != record.TooLong || !strings.Contains(fault.Reason, fmt.Sprintf("its %s has %d bytes", field, len(huge))) {
				t.Errorf("%s, long %s: %v, want the fault %s", how, field, err, record.TooLong)
			}
		}
	}
}

func TestCutMiddle(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{
		{"", 4, ""}, {"abcd", 4, "abcd"}, {"abcdef", 4, "abef"}, {"ééé", 4, "éé"}, {"ééé", 2, ""}, {"漢字漢字", 8, "漢字"},
	} {
		got := cutMiddle(c.s, c.n)
		if got != c.want || !utf8.ValidString(got) {
			t.Errorf("cutMiddle(%q, %d) = %q, want %q", c.s, c.n, got, c.want)
		}
	}
}

// TestEmptyFields encodes records that lack what others have. Whether they may
// be rated is for the reader to say.
func TestEmptyFields(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		e := open(t, kind, Options{})
		var sizes []int
		for _, rec := range []record.Record{{}, {Instruction: "a"}, {Input: "a"}, {Response: "a"}, {Instruction: "a", Input: "a", Response: "a"}} {
			p := encode(t, e, rec)[0]
			sizes = append(sizes, p.Size)
			if rate(t, e, p)[0].Mode == "" {
				t.Errorf("%+v has no rating", rec)
			}
		}
		if s := sizes; s[1] != s[0]+1 || s[2] != s[1] || s[3] != s[1] || s[4] != s[0]+3 {
			t.Errorf("sizes %d, want one token more for each field of one letter", sizes)
		}
	})
}

// TestParallelEncode encodes with many goroutines what one encodes alone.
func TestParallelEncode(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		e := open(t, kind, Options{})
		recs := records(40)
		want := encode(t, e, recs...)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				var p grader.Prompt // reused
				for i := range recs {
					if err := e.Encode(&recs[i], &p); err != nil || !slices.Equal(p.Tokens, want[i].Tokens) {
						t.Errorf("record %d: other tokens than alone, %v", i, err)
					}
					if _, err := e.Trace(&recs[i], 0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range 3 { // a rating goes on meanwhile
			rateAll(t, e, want[:10]...)
		}
		wg.Wait()
	})
}
