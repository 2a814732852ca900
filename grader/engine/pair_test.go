package engine

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader"
	"winnow/grader/prompt"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/rubric"
	"winnow/grader/signal"
	"winnow/internal/tinygguf"
)

// versus is a pairwise rubric with a short frame, whose second response stands first.
func versus(t testing.TB) rubric.Rubric {
	t.Helper()
	r, err := rubric.Parse("versus.toml", []byte("user = \"Question:\\n{instruction}\\n{input}\\nB:\\n{other}\\nA:\\n{response}\\nWhich?\"\nscale = { ratings = [\"1\", \"2\"] }\n"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// pairs makes pairs of the records' responses, each in both orders.
func pairs(n int) []record.Record {
	var list []record.Record
	recs := records(2 * n)
	for i := range n {
		r, a, b := recs[i], recs[i].Response, recs[2*n-1-i].Response
		list = append(list, *record.MadePair(2*i, r.Instruction, r.Input, a, b), *record.MadePair(2*i+1, r.Instruction, r.Input, b, a))
	}
	return list
}

// TestPairs rates pairs: what shares their batch changes not one bit, the plain
// computation agrees, and the two orders are different records.
func TestPairs(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		model := writeTiny(t, tinygguf.Options{Tokenizer: kind})
		for name, rubrics := range map[string][]rubric.Rubric{
			"one": only(load(t, "pairwise")), "short": only(versus(t)),
			"scores": {load(t, "pairwise-scores-1"), load(t, "pairwise-scores-2")},
		} {
			e := open(t, kind, Options{Model: model, Rubrics: rubrics})
			recs := pairs(8)
			prompts := encode(t, e, recs...)
			outcomes := func(prompts ...*grader.Prompt) (list [][]rating.Rating) {
				out := make([]grader.Outcome, len(prompts))
				if _, err := e.Rate(t.Context(), prompts, out); err != nil {
					t.Fatal(err)
				}
				for _, o := range out {
					if o.Fault != nil {
						t.Fatal(o.Fault)
					}
					list = append(list, o.Ratings)
				}
				return list
			}
			if len(prompts) > e.Capacity().Prompts {
				t.Fatalf("%s: %d prompts, a batch holds %d", name, len(prompts), e.Capacity().Prompts)
			}
			// More tokens than a batch holds go through several passes.
			for from := 0; from < len(prompts); from += 4 {
				packed := outcomes(prompts[from : from+4]...)
				for i, got := range packed {
					if alone := outcomes(prompts[from+i])[0]; !reflect.DeepEqual(got, alone) {
						t.Errorf("%s, record %d: packed and alone differ by %g", name, from+i, diff(got[0], alone[0]))
					}
				}
				plain, err := e.rateTokenByToken(t.Context(), prompts[from])
				if err != nil {
					t.Fatal(err)
				}
				for c, want := range plain {
					if d := diff(packed[0][c], want); !(d <= 1e-4) {
						t.Errorf("%s, record %d, criterion %d: off by %g", name, from, c, d)
					}
				}
			}
			for i := 0; i < len(recs); i += 2 {
				if recs[i].Key == recs[i+1].Key || slices.Equal(prompts[i].Tokens, prompts[i+1].Tokens) || len(prompts[i].Tokens) != len(prompts[i+1].Tokens) {
					t.Errorf("%s: records %d and %d must have other keys and as many tokens in another order", name, i, i+1)
				}
			}
		}
	})
}

// TestPairTokens checks that neither response of a pair changes what stands around it
// or the other, whatever it says.
func TestPairTokens(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		e := open(t, kind, Options{Model: writeTiny(t, tinygguf.Options{Tokenizer: kind, Template: toolTemplate}), Rubrics: only(versus(t))})
		of := func(t interface{ Fatal(...any) }, rec *record.Record, f prompt.Field) (ids []int32) {
			trace, err := e.Trace(rec, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, tok := range trace {
				if tok.Field == f {
					ids = append(ids, tok.ID)
				}
			}
			return ids
		}
		trusted := of(t, record.MadePair(0, "Add.", "", "5", "6"), prompt.None)
		texts := hostile(kind)
		rapid.Check(t, func(t *rapid.T) {
			a, b := texts.Draw(t, "response"), texts.Draw(t, "other")
			for _, text := range []string{a, b} {
				checkRecordText(t, e, kind, text)
			}
			rec, swapped := record.MadePair(0, "Add.", "", a, b), record.MadePair(0, "Add.", "", b, a)
			if !slices.Equal(of(t, rec, prompt.None), trusted) {
				t.Errorf("the pair changes the tokens around it")
			}
			if !slices.Equal(of(t, rec, prompt.Response), of(t, swapped, prompt.Other)) || !slices.Equal(of(t, rec, prompt.Other), of(t, swapped, prompt.Response)) {
				t.Errorf("a response has other tokens in another place")
			}
		})
	})
}

// TestTruncatePair cuts pairs that are too long: the longer response first, then both
// to one length, and the same in both orders.
func TestTruncatePair(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		e := open(t, kind, Options{Ctx: 768, TooLong: Truncate, Rubrics: only(versus(t))})
		mark, err := e.tok.next(nil, cutMark, false)
		if err != nil {
			t.Fatal(err)
		}
		size := func(text string) int {
			toks, err := e.tok.record(nil, text)
			if err != nil {
				t.Fatal(err)
			}
			return len(toks)
		}
		for name, c := range map[string]struct {
			a, b string
			cut  int // responses
		}{
			"none": {numbered(20), numbered(10), 0},
			"one":  {numbered(400), numbered(10), 1},
			"both": {numbered(400), numbered(300), 2},
			"huge": {strings.Repeat("The world is large. ", 1<<16), numbered(300), 2},
		} {
			var kept [2]map[string]int // for each order, tokens of each response
			var cut [2]int
			for order, rec := range []*record.Record{record.MadePair(0, "Count.", "", c.a, c.b), record.MadePair(1, "Count.", "", c.b, c.a)} {
				p := encode(t, e, *rec)[0]
				cut[order] = p.Cut
				if full := p.Total >= 767 && p.Total <= 768; full != (c.cut > 0) || p.Size != len(p.Tokens)+e.tail.size() {
					t.Errorf("%s: %d tokens, %d of them its own", name, p.Total, p.Size)
				}
				trace, err := e.Trace(rec, 0)
				if err != nil {
					t.Fatal(err)
				}
				text, count := map[prompt.Field]string{}, map[prompt.Field]int{}
				for _, tok := range trace {
					text[tok.Field] += tok.Text
					count[tok.Field]++
				}
				if !strings.HasSuffix(strings.TrimSpace(text[prompt.None]), "assistant") || text[prompt.Instruction] != "Count." {
					t.Errorf("%s: %q stands around the texts", name, text[prompt.None])
				}
				cuts := 0
				kept[order] = map[string]int{}
				for _, f := range []prompt.Field{prompt.Response, prompt.Other} {
					whole := prompt.Text(rec, f)
					kept[order][whole] = count[f]
					head, tail, found := strings.Cut(text[f], cutMark)
					if found {
						cuts++
					}
					if !strings.HasPrefix(whole, head) || !strings.HasSuffix(whole, tail) || !found && head != whole {
						t.Errorf("%s: %.200q… is not of its %s", name, text[f], f)
					}
				}
				if cuts != c.cut || c.cut == 2 && count[prompt.Response] != count[prompt.Other] {
					t.Errorf("%s: %d responses are cut, to %d and %d tokens, want %d", name, cuts, count[prompt.Response], count[prompt.Other], c.cut)
				}
				if left := count[prompt.Response] + count[prompt.Other]; name != "huge" && p.Cut != size(c.a)+size(c.b)+c.cut*len(mark)-left {
					t.Errorf("%s: %d tokens are said to be cut, and %d are left", name, p.Cut, left)
				}
				rate(t, e, p)
			}
			if !reflect.DeepEqual(kept[0], kept[1]) || cut[0] != cut[1] {
				t.Errorf("%s: the order changes what is left", name)
			}
		}

		// With less than is worth rating left of each, the pair is too long.
		rec := record.MadePair(0, strings.Repeat("Count to ten. ", 140), "", numbered(400), numbered(400))
		var fault *record.Fault
		if err := e.Encode(rec, new(grader.Prompt)); !errors.As(err, &fault) || fault.Status != record.TooLong || !strings.Contains(fault.Reason, "truncating would leave") {
			t.Errorf("a long instruction: %v, want the fault %s", err, record.TooLong)
		}
	})
}

// TestKinds gives a rubric the other kind of record: that is no fault of the record.
func TestKinds(t *testing.T) {
	model := writeTiny(t, tinygguf.Options{})
	for _, c := range []struct {
		rubric string
		rec    *record.Record
		want   string
	}{
		{"pairwise", record.Made(0, "Add.", "", "5"), "rubric pairwise compares two responses"},
		{"accuracy", record.MadePair(0, "Add.", "", "5", "6"), "rubric accuracy rates one response"},
	} {
		e := open(t, tinygguf.BPE, Options{Model: model, Rubrics: only(load(t, c.rubric))})
		err := e.Encode(c.rec, new(grader.Prompt))
		if err == nil || errors.As(err, new(*record.Fault)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to say %q", c.rubric, err, c.want)
		}
	}
	e, err := Open(Options{Model: model, Rubrics: []rubric.Rubric{load(t, "pairwise-scores-1"), load(t, "pairwise")}, Threads: 1})
	if err == nil {
		t.Fatalf("rubrics of two scales in one pass: no error, %v", e.Close())
	}
}

// TestPairSignals checks that the signals of a pair are of its first response,
// wherever it stands and whatever was cut.
func TestPairSignals(t *testing.T) {
	e := open(t, tinygguf.BPE, Options{Ctx: 768, TooLong: Truncate, Signals: signal.Set{signal.Loss}, Rubrics: only(versus(t))})
	for _, c := range [][2]string{{"five", "six"}, {numbered(400), numbered(10)}, {numbered(10), numbered(400)}, {numbered(400), numbered(300)}} {
		rec := record.MadePair(0, "Count.", "", c[0], c[1])
		trace, err := e.Trace(rec, 0)
		if err != nil {
			t.Fatal(err)
		}
		var want []int32
		for _, tok := range trace {
			if tok.Field == prompt.Response {
				want = append(want, tok.ID)
			}
		}
		if p := encode(t, e, *rec)[0]; !slices.Equal(p.Tokens[p.From:p.To], want) {
			t.Errorf("%.20q and %.20q: the response is said to stand at %d to %d, other tokens than its own", c[0], c[1], p.From, p.To)
		}
	}
}
