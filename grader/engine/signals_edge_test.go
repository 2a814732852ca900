package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"winnow/grader"
	"winnow/grader/record"
	"winnow/grader/signal"
	"winnow/internal/tinygguf"
)

// TestNoResponse has nothing to compute losses of, and a response of one token in a
// rubric that begins with it, which has a loss beside the prompt only.
func TestNoResponse(t *testing.T) {
	first := brief(t, "", "0", "1")
	first.User = "{response}{instruction}{input}" // the system text is the prefix
	first.System = "Rate the text."
	e := open(t, tinygguf.BPE, Options{Signals: every, Rubrics: only(first), Model: writeTiny(t, tinygguf.Options{})})
	recs := []record.Record{{Instruction: "Say nothing."}, {Instruction: "Say a.", Response: "a"}, {Instruction: "Say ab.", Response: "ab"}}
	prompts := encode(t, e, recs...)
	if p := prompts[0]; len(p.Sides) != 0 || p.From != p.To {
		t.Fatalf("%+v without a response", p)
	}
	got := outcomes(t, e, prompts...)
	for k, x := range got[0].Signals {
		if want := e.Manifest().Signals[k]; (want == signal.InstructionTokens) != (x > 0) || (want == signal.ResponseTokens) != (x == 0) || k > 1 && !math.IsNaN(x) {
			t.Errorf("without a response %s is %v", want, x)
		}
	}
	nll, alone := slices.Index(e.Manifest().Signals, signal.NLL), slices.Index(e.Manifest().Signals, signal.NLLAlone)
	if prompts[1].From != 0 || !math.IsNaN(got[1].Signals[nll]) || math.IsNaN(got[1].Signals[alone]) {
		t.Errorf("a response of one token from %d on: %v", prompts[1].From, got[1].Signals)
	}
	if want := plainLoss(t, e.Model(), slices.Concat(e.prefix, prompts[2].Tokens[:prompts[2].To]), len(e.prefix)+1); prompts[2].To != 2 || !(math.Abs(got[2].Signals[nll]-want) < 1e-3) {
		t.Errorf("the second token of the response has the loss %v, want %v", got[2].Signals[nll], want)
	}
}

func TestSignalsErrors(t *testing.T) {
	tiny := writeTiny(t, tinygguf.Options{})
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"layer":     {Options{HiddenLayer: 2, Signals: every}, "want one from 1 to 1"},
		"negative":  {Options{HiddenLayer: -1, Signals: every}, "want one from 1 to 1"},
		"one layer": {Options{Signals: every, Model: writeTiny(t, tinygguf.Options{Layers: 1})}, "it has 1 layers"},
	} {
		if c.o.Model == "" {
			c.o.Model = tiny
		}
		c.o.Rubrics, c.o.Threads = only(load(t, "")), 1
		e, err := Open(c.o)
		if err == nil {
			t.Errorf("%s: no error, %v", name, e.Close())
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.want)
		}
	}

	e := open(t, tinygguf.BPE, Options{Model: tiny, Signals: signal.All(), Ctx: 512})
	if o := e.Options(); o.Batch != SignalsBatch {
		t.Errorf("batches of %d tokens, want %d", o.Batch, SignalsBatch)
	}
	good := encode(t, e, records(1)...)[0]
	for name, spoil := range map[string]func(p *grader.Prompt){
		"no tokens": func(p *grader.Prompt) { p.Tokens = nil },
		"before":    func(p *grader.Prompt) { p.From = -1 },
		"token": func(p *grader.Prompt) {
			p.Tokens = slices.Clone(p.Tokens)
			p.Tokens[p.To-1] = 1 << 30
		},
		"turned": func(p *grader.Prompt) { p.From, p.To = p.To, p.From },
		"behind": func(p *grader.Prompt) { p.To = len(p.Tokens) + 1 },
		"side":   func(p *grader.Prompt) { p.Sides = []grader.Side{{Tokens: []int32{1}}} },
		"sides":  func(p *grader.Prompt) { p.Sides = slices.Repeat(p.Sides, 2) },
	} {
		bad := *good
		spoil(&bad)
		if _, err := e.Rate(context.Background(), []*grader.Prompt{&bad}, make([]grader.Outcome, 1)); err == nil || !strings.Contains(err.Error(), "has not made it") {
			t.Errorf("%s: %v, want that the prompt is refused", name, err)
		}
	}

	// Memory of a prompt with signals is used again by an engine without.
	if err := open(t, tinygguf.BPE, Options{Model: tiny}).Encode(&records(1)[0], good); err != nil || len(good.Sides) != 0 || good.To != 0 || good.Asked != 0 {
		t.Errorf("%+v, %v: want nothing of signals", good, err)
	}
}

// TestInputUnseen counts the tokens of an input that the rubric leaves out.
func TestInputUnseen(t *testing.T) {
	blind := brief(t, "", "0", "1")
	blind.User = "Q: {instruction}\nA: {response}"
	seeing := brief(t, "", "0", "1")
	rec := record.Record{Instruction: "Add the numbers.", Input: "2 and 3", Response: "5"}
	var want *grader.Prompt
	for _, r := range []int{0, 1} {
		o := Options{Signals: signal.All(), Rubrics: only(seeing)}
		if r == 1 {
			o.Rubrics = only(blind)
		}
		p := encode(t, open(t, tinygguf.BPE, o), rec)[0]
		if want == nil {
			want = p
		}
		if p.Asked != want.Asked || p.Asked < 4 || !reflect.DeepEqual(p.Sides, want.Sides) {
			t.Errorf("%d tokens asked and %v beside, want %d and %v", p.Asked, p.Sides, want.Asked, want.Sides)
		}
	}
	e := open(t, tinygguf.BPE, Options{Signals: signal.All(), Rubrics: only(blind)})
	rec.Input = strings.Repeat("The world is large. ", 1<<20)
	var fault *record.Fault
	if err := e.Encode(&rec, new(grader.Prompt)); !errors.As(err, &fault) || fault.Status != record.TooLong || !strings.Contains(fault.Reason, "its input has") {
		t.Errorf("a long input: %v, want the fault %s", err, record.TooLong)
	}
}

// TestBadStates computes signals with weights that are no numbers: of the embedding
// of a letter, which only the response has.
func TestBadStates(t *testing.T) {
	var b bytes.Buffer
	if err := tinygguf.Write(&b, tinygguf.Options{}); err != nil {
		t.Fatal(err)
	}
	model := b.Bytes()
	id := slices.IndexFunc(tinygguf.BPE.Tokens(), func(tok tinygguf.Token) bool { return tok.Text == "Q" })
	// The first tensor begins where the others do not: count back from the end.
	e := open(t, tinygguf.BPE, Options{})
	vocab, rest := e.Model().Vocab().Size(), 0
	const width, kv, ff = 64, 32, 128
	rest = 2*(2*width+2*width*width+2*kv*width+3*width*ff) + width + vocab*width
	at := len(model) - 4*rest - 4*(vocab-id)*width
	binary.LittleEndian.PutUint32(model[at+4*9:], math.Float32bits(float32(math.NaN())))
	path := filepath.Join(t.TempDir(), "nan.gguf")
	if err := os.WriteFile(path, model, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, set := range []signal.Set{{signal.Follow}, {signal.Hidden}, {signal.Loss}} {
		e := open(t, tinygguf.BPE, Options{Model: path, Signals: set})
		out := make([]grader.Outcome, 2)
		prompts := encode(t, e, record.Record{Instruction: "Name a letter.", Response: "aQa"}, record.Record{Instruction: "Name a letter.", Response: "a"})
		if _, err := e.Rate(context.Background(), prompts, out); err != nil {
			t.Fatal(err)
		}
		if f := out[0].Fault; f == nil || f.Status != record.BadLogits {
			t.Errorf("%s: %+v, want the fault %s", set, out[0], record.BadLogits)
		}
		if out[1].Fault != nil {
			t.Errorf("%s: without the letter: %v", set, out[1].Fault)
		}
	}
}

func TestBFloat16(t *testing.T) {
	for _, c := range []struct{ bits, want uint32 }{
		{0x3f800000, 0x3f800000}, {0x3f808000, 0x3f800000}, {0x3f818000, 0x3f820000}, {0x3f808001, 0x3f810000},
		{0x3f807fff, 0x3f800000}, {0x80000001, 0x80000000}, {0x7f7fffff, 0x7f800000}, {0xff800000, 0xff800000}, {0x7fffffff, 0x7fffffff},
	} {
		if got := math.Float32bits(bfloat16(math.Float32frombits(c.bits))); got != c.want {
			t.Errorf("%#x is rounded to %#x, want %#x", c.bits, got, c.want)
		}
	}
}

// TestSignalsAllocate shows that signals allocate nothing for each record.
func TestSignalsAllocate(t *testing.T) {
	e := open(t, tinygguf.BPE, Options{Rubrics: only(brief(t, "", "1", "1.5", "2")), Signals: every})
	allocs := func(n int) float64 {
		prompts := encode(t, e, slices.Repeat(records(1), n)...)
		out := make([]grader.Outcome, n)
		return testing.AllocsPerRun(5, func() {
			if _, err := e.Rate(context.Background(), prompts, out); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := allocs(1), allocs(5)
	if many > few+2 {
		t.Errorf("%v allocations for 5 records, %v for one", many, few)
	}
}
