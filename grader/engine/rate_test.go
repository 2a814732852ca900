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
	"sync"
	"testing"

	"winnow/grader"
	"winnow/grader/prompt"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/rubric"
	"winnow/internal/osthread"
	"winnow/internal/tinygguf"
	"winnow/llama"
)

// rubrics are scales whose tries differ: halves, ratings that begin others,
// words, a cue, no inner nodes.
func rubrics(t testing.TB) map[string]rubric.Rubric {
	return map[string]rubric.Rubric{
		"default":  load(t, ""),
		"prefixes": brief(t, "", "1", "10", "100", "bad", "badly"),
		"cue":      brief(t, "Score: ", "0", "0.5", "1", "15", "2"),
		"digits":   brief(t, "", "0", "1", "2"),
	}
}

// TestTrie compares ratings from one pass with those from a fresh cache and one
// sequence for each node of the trie.
func TestTrie(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		model := writeTiny(t, tinygguf.Options{Tokenizer: kind})
		for name, r := range rubrics(t) {
			e := open(t, kind, Options{Model: model, Rubrics: only(r)})
			prompts := encode(t, e, records(5)...)
			for i, got := range rate(t, e, prompts...) {
				want, err := e.rateTokenByToken(context.Background(), prompts[i])
				if err != nil {
					t.Fatal(err)
				}
				if d := diff(got, want[0]); !(d <= 1e-4) {
					t.Errorf("%s, record %d: off by %g\n got %v\nwant %v", name, i, d, got.Probs, want[0].Probs)
				}
				sum := got.OffScale
				for _, p := range got.Probs {
					sum += p
				}
				if !(math.Abs(sum-1) < 1e-9) || !(got.OffScale < 1) {
					t.Errorf("%s, record %d: probabilities sum to %v with %v off the scale", name, i, sum, got.OffScale)
				}
			}
		}
	})
}

// TestEnumeration computes ratings from the definition, with the bindings
// alone: the probability that the answer begins with a rating string and with
// no longer one.
func TestEnumeration(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		r := brief(t, "Score: ", "1", "10", "100", "bad", "badly")
		e := open(t, kind, Options{Rubrics: only(r)})
		rec := record.Record{Instruction: "Name a colour.", Response: "Blue is the colour of the world."}
		got := rate(t, e, encode(t, e, rec)...)[0]
		trace, err := e.Trace(&rec, 0)
		if err != nil {
			t.Fatal(err)
		}
		var before []int32
		for _, tok := range trace {
			before = append(before, tok.ID)
		}

		c, err := llama.NewContext(e.Model(), llama.ContextOptions{Ctx: 512, Batch: 512, Threads: 1, FlashAttention: true})
		if err != nil {
			t.Fatal(err)
		}
		b, err := llama.NewBatch(512, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := errors.Join(b.Close(), c.Close()); err != nil {
				t.Error(err)
			}
		}()
		// follow returns the probability that the tokens follow the prompt.
		follow := func(tokens []int32) float64 {
			b.Reset()
			if err := c.Clear(); err != nil {
				t.Fatal(err)
			}
			for i, tok := range slices.Concat(before, tokens) {
				if err := b.Add(tok, i, []llama.SeqID{0}, true); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Decode(b); err != nil {
				t.Fatal(err)
			}
			p := 1.0
			for i, tok := range tokens {
				row, err := c.Logits(len(before) + i - 1)
				if err != nil {
					t.Fatal(err)
				}
				sum := 0.0
				for _, x := range row {
					sum += math.Exp(float64(x))
				}
				p *= math.Exp(float64(row[tok])) / sum
			}
			return p
		}

		// The answer stands behind a line break, so a string is tokenized as it
		// would be there.
		paths := make([][]int32, len(r.Scale.Strings))
		for i, s := range r.Scale.Strings {
			toks, err := e.Model().Vocab().Tokenize(nil, "\n"+r.Cue+s, false)
			if err != nil {
				t.Fatal(err)
			}
			newline, err := e.Model().Vocab().Tokenize(nil, "\n", false)
			if err != nil {
				t.Fatal(err)
			}
			paths[i] = toks[len(newline):]
		}
		// What all of them share is part of the prompt.
		shared := 0
		for same := true; same; shared++ {
			for _, p := range paths {
				same = same && len(p) > shared && p[shared] == paths[0][shared]
			}
		}
		shared--
		for i := range paths {
			paths[i] = paths[i][shared:]
		}
		for i, path := range paths {
			want := follow(path)
			for j, longer := range paths {
				// Only the next longer one counts: it holds those beyond it.
				next := i != j && len(longer) > len(path) && slices.Equal(longer[:len(path)], path)
				for k, between := range paths {
					if next && k != i && k != j && len(between) > len(path) && len(between) < len(longer) && slices.Equal(longer[:len(between)], between) {
						next = false
					}
				}
				if next {
					want -= follow(longer)
				}
			}
			if d := math.Abs(got.Probs[i] - want); !(d <= 1e-4) || want == 0 {
				t.Errorf("P(%q) = %v, want %v", r.Scale.Strings[i], got.Probs[i], want)
			}
		}
	})
}

// TestPacked checks that a rating does not depend on what shares its batch: with
// flash attention not in one bit, also where prompts go through several passes.
func TestPacked(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		model := writeTiny(t, tinygguf.Options{Tokenizer: kind})
		for name, r := range map[string]rubric.Rubric{"default": load(t, ""), "digits": brief(t, "", "0", "1", "2")} {
			e := open(t, kind, Options{Model: model, Rubrics: only(r)})
			prompts := encode(t, e, records(40)...)
			var want []rating.Rating
			for _, p := range prompts {
				want = append(want, rate(t, e, p)...)
			}
			check := func(what string, got []rating.Rating) {
				t.Helper()
				for i := range got {
					if !reflect.DeepEqual(got[i], want[i]) {
						t.Errorf("%s, %s: record %d differs by %g", name, what, i, diff(got[i], want[i]))
					}
				}
			}
			check("packed", rateAll(t, e, prompts...))

			shuffled := slices.Clone(prompts)
			slices.Reverse(shuffled)
			shuffled = append(shuffled[7:], shuffled[:7]...)
			got := rateAll(t, e, shuffled...)
			got = append(got[len(got)-7:], got[:len(got)-7]...)
			slices.Reverse(got)
			check("shuffled", got)

			for _, batch := range []int{MinBatch, 64, 1024} {
				other := open(t, kind, Options{Model: model, Rubrics: only(r), Batch: batch})
				check("batches of another size", rateAll(t, other, prompts...))
			}
		}
	})
}

// TestNoFlashAttention bounds what ratings lose without it: sums then run over
// masked cells too.
func TestNoFlashAttention(t *testing.T) {
	e := open(t, tinygguf.BPE, Options{NoFlashAttention: true})
	flash := open(t, tinygguf.BPE, Options{})
	prompts := encode(t, e, records(20)...)
	want := rateAll(t, flash, prompts...)
	for i, got := range rateAll(t, e, prompts...) {
		if d := diff(got, rate(t, e, prompts[i])[0]); !(d <= 1e-3) {
			t.Errorf("record %d: packed and alone differ by %g", i, d)
		}
		if d := diff(got, want[i]); !(d <= 2e-2) {
			t.Errorf("record %d: with and without flash attention differ by %g", i, d)
		}
	}
}

// TestLongPrompt rates a prompt of several passes.
func TestLongPrompt(t *testing.T) {
	long := record.Record{Instruction: "Write a poem.", Response: strings.Repeat("The world is a story, and the day is long. ", 40)}
	var want []rating.Rating
	for _, batch := range []int{4096, DefaultBatch, 64} {
		e := open(t, tinygguf.BPE, Options{Batch: batch})
		p := encode(t, e, long)[0]
		if batch < 4096 && p.Size <= batch {
			t.Fatalf("the prompt has %d tokens, want more than %d", p.Size, batch)
		}
		got := rate(t, e, p)
		if want == nil {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("batches of %d: rating differs by %g from one batch", batch, diff(got[0], want[0]))
		}
	}
}

func TestRateErrors(t *testing.T) {
	e, err := Open(Options{Model: writeTiny(t, tinygguf.Options{}), Rubrics: only(load(t, "")), Ctx: 768, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	p := encode(t, e, records(1)...)[0]
	want := rate(t, e, p)

	ctx := context.Background()
	try := func(ctx context.Context, prompts ...*grader.Prompt) error {
		_, err := e.Rate(ctx, prompts, make([]grader.Outcome, len(prompts)))
		return err
	}
	if try(ctx) == nil {
		t.Error("no prompts: no error")
	}
	if _, err := e.Rate(ctx, []*grader.Prompt{p}, nil); err == nil {
		t.Error("no room for the outcome: no error")
	}
	room := e.Capacity()
	if try(ctx, slices.Repeat([]*grader.Prompt{p}, room.Prompts+1)...) == nil {
		t.Errorf("%d prompts of %d: no error", room.Prompts+1, room.Prompts)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if err := try(done, p); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	// More tokens than Capacity allows overfill the cache.
	many := slices.Repeat(encode(t, e, records(40)[39]), room.Prompts)
	if err := try(ctx, many...); !errors.Is(err, llama.ErrNoSlot) {
		t.Errorf("too many tokens: %v, want %v", err, llama.ErrNoSlot)
	}
	if got := rate(t, e, p); !reflect.DeepEqual(got, want) {
		t.Errorf("after errors the rating differs by %g", diff(got[0], want[0]))
	}

	for range 2 {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := try(ctx, p); !errors.Is(err, osthread.ErrStopped) {
		t.Errorf("Rate of a closed engine: %v, want %v", err, osthread.ErrStopped)
	}
	if err := e.Encode(&record.Record{Response: "x"}, p); err == nil {
		t.Error("Encode of a closed engine: no error")
	}
}

// TestBadLogits rates with a model that has a weight that is no number.
func TestBadLogits(t *testing.T) {
	var b bytes.Buffer
	if err := tinygguf.Write(&b, tinygguf.Options{}); err != nil {
		t.Fatal(err)
	}
	model := b.Bytes()
	// The last weights are those of the last token's logit.
	binary.LittleEndian.PutUint32(model[len(model)-4:], math.Float32bits(float32(math.NaN())))
	path := filepath.Join(t.TempDir(), "nan.gguf")
	if err := os.WriteFile(path, model, 0o600); err != nil {
		t.Fatal(err)
	}
	e := open(t, tinygguf.BPE, Options{Model: path})
	outcomes := make([]grader.Outcome, 2)
	if _, err := e.Rate(context.Background(), encode(t, e, records(2)...), outcomes); err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if o.Fault == nil || o.Fault.Status != record.BadLogits {
			t.Errorf("record %d: %+v, want the fault %s", i, o, record.BadLogits)
		}
	}
}

func TestTrace(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		e := open(t, kind, Options{Rubrics: only(brief(t, "Score: ", "1", "2"))})
		rec := record.Record{Instruction: "Add 2 and 3.", Input: "Be brief.", Response: "It is 5."}
		trace, err := e.Trace(&rec, 0)
		if err != nil {
			t.Fatal(err)
		}
		texts := map[prompt.Field]string{}
		shared := 0
		for _, tok := range trace {
			texts[tok.Field] += tok.Text
			if tok.Shared {
				shared++
			}
		}
		for f, want := range map[prompt.Field]string{prompt.Instruction: rec.Instruction, prompt.Input: rec.Input, prompt.Response: rec.Response} {
			if texts[f] != want {
				t.Errorf("%s is %q, want %q", f, texts[f], want)
			}
		}
		p := encode(t, e, rec)[0]
		if shared != e.PrefixTokens() || len(trace) != shared+len(p.Tokens) || p.Total != len(trace)+e.tail.size() || p.Cut != 0 {
			t.Errorf("%d tokens, %d of them shared, for a prompt of %d behind %d, in all %d", len(trace), shared, len(p.Tokens), e.PrefixTokens(), p.Total)
		}
		if want := "assistant\nScore:"; !strings.HasSuffix(strings.TrimSpace(texts[prompt.None]), want) {
			t.Errorf("the prompt ends %q, want it to end %q", texts[prompt.None], want)
		}
	})
}

// TestCriteria rates by several criteria in one pass: each rating must be that of
// its criterion alone, and both must agree with the plain computation.
func TestCriteria(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		model := writeTiny(t, tinygguf.Options{Tokenizer: kind})
		for _, names := range [][]string{{"accuracy", "helpfulness"}, {"alpagasus-accuracy", "alpagasus-helpfulness"}} {
			var rubrics []rubric.Rubric
			var alone [][]rating.Rating
			recs := records(30)
			for _, name := range names {
				r := load(t, name)
				rubrics = append(rubrics, r)
				e := open(t, kind, Options{Model: model, Rubrics: only(r)})
				alone = append(alone, rateAll(t, e, encode(t, e, recs...)...))
			}
			e := open(t, kind, Options{Model: model, Rubrics: rubrics})
			prompts := encode(t, e, recs...)
			for i, p := range prompts {
				out := make([]grader.Outcome, 1)
				if _, err := e.Rate(context.Background(), prompts[i:i+1], out); err != nil {
					t.Fatal(err)
				}
				for c, got := range out[0].Ratings {
					if !reflect.DeepEqual(got, alone[c][i]) {
						t.Errorf("%s, record %d: together and alone differ by %g", names[c], i, diff(got, alone[c][i]))
					}
				}
				if i > 1 {
					continue // the plain computation takes its time
				}
				plain, err := e.rateTokenByToken(context.Background(), p)
				if err != nil {
					t.Fatal(err)
				}
				for c, got := range out[0].Ratings {
					if d := diff(got, plain[c]); !(d <= 1e-4) {
						t.Errorf("%s, record %d: off by %g", names[c], i, d)
					}
				}
			}
			if first := only(rubrics[0]); e.RatingTokens() >= 2*open(t, kind, Options{Model: model, Rubrics: first}).RatingTokens() {
				t.Errorf("%v: %d tokens behind each record, want less than twice those of one", names, e.RatingTokens())
			}
		}
	})
}

func TestCriteriaErrors(t *testing.T) {
	model := writeTiny(t, tinygguf.Options{})
	accuracy := load(t, "accuracy")
	scale := load(t, "helpfulness")
	scale.Scale = rating.Scale{Strings: []string{"1", "2"}, Values: []float64{1, 2}}
	for name, c := range map[string]struct {
		rubrics []rubric.Rubric
		want    string
	}{
		"none":   {nil, "no rubric"},
		"twice":  {[]rubric.Rubric{accuracy, accuracy}, "twice"},
		"scale":  {[]rubric.Rubric{accuracy, scale}, "different scales"},
		"frame":  {[]rubric.Rubric{accuracy, load(t, "alpagasus-accuracy")}, "differ before the end of the record"},
		"record": {[]rubric.Rubric{load(t, "alpagasus-accuracy-first"), load(t, "alpagasus-helpfulness-first")}, "differ before the end of the record"},
	} {
		e, err := Open(Options{Model: model, Rubrics: c.rubrics, Threads: 1})
		if err == nil {
			err = e.Close()
			t.Errorf("%s: no error, %v", name, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.want)
		}
	}
}

// TestLanes rates on several contexts at once.
func TestLanes(t *testing.T) {
	e := open(t, tinygguf.BPE, Options{Lanes: 3, Batch: 256})
	prompts := encode(t, e, records(24)...)
	want := rateAll(t, e, prompts...)
	var wg sync.WaitGroup
	for k := range 6 {
		wg.Go(func() {
			for i := k; i < len(prompts); i += 6 {
				out := make([]grader.Outcome, 1)
				if _, err := e.Rate(context.Background(), prompts[i:i+1], out); err != nil || out[0].Fault != nil {
					t.Errorf("record %d: %v, %v", i, err, out[0].Fault)
				} else if !reflect.DeepEqual(out[0].Ratings[0], want[i]) {
					t.Errorf("record %d differs by %g", i, diff(out[0].Ratings[0], want[i]))
				}
			}
		})
	}
	wg.Wait()
}

// TestRateAllocates shows that rating allocates nothing for each record.
func TestRateAllocates(t *testing.T) {
	// A frame so short that eight records go through one pass.
	e := open(t, tinygguf.BPE, Options{Rubrics: only(brief(t, "", "1", "1.5", "2"))})
	allocs := func(n int) float64 {
		prompts := encode(t, e, slices.Repeat(records(1), n)...)
		out := make([]grader.Outcome, n)
		return testing.AllocsPerRun(5, func() {
			if _, err := e.Rate(context.Background(), prompts, out); err != nil {
				t.Fatal(err)
			}
		})
	}
	few, many := allocs(1), allocs(8)
	if many > few+2 { // seven records more
		t.Errorf("%v allocations for 8 records, %v for one", many, few)
	}
}

// TestSharedLastPass rates a prompt of several passes in one batch with others, up
// to what Capacity allows: each rating must be that of its record alone.
func TestSharedLastPass(t *testing.T) {
	e := open(t, tinygguf.BPE, Options{Batch: 64, Ctx: 768, Rubrics: only(brief(t, "", "1", "1.5", "2"))})
	room := e.Capacity()
	if room.Most <= 2*room.Tokens {
		t.Fatalf("%+v: want room for several passes", room)
	}
	long := record.Record{Instruction: "Write a poem.", Response: strings.Repeat("The world is a story. ", 20)}
	prompts := encode(t, e, long)
	size := prompts[0].Size
	for _, p := range encode(t, e, records(30)...) {
		if size+p.Size <= room.Most && len(prompts) < room.Prompts {
			prompts = append(prompts, p)
			size += p.Size
		}
	}
	if prompts[0].Size <= room.Tokens || size < room.Most-64 || len(prompts) < 4 {
		t.Fatalf("%d prompts of %d tokens, the first of %d: want a long one and the batch full (%+v)", len(prompts), size, prompts[0].Size, room)
	}
	for i, got := range rate(t, e, prompts...) {
		if want := rate(t, e, prompts[i])[0]; !reflect.DeepEqual(got, want) {
			t.Errorf("prompt %d differs by %g from what it is alone", i, diff(got, want))
		}
	}
}
