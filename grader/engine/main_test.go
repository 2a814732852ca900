package engine

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"winnow/grader"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/rubric"
	"winnow/internal/tinygguf"
)

// leakLog counts the warnings about handles that were never closed.
type leakLog struct {
	slog.Handler
	leaks *atomic.Int32
}

func (l leakLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "never closed") {
		l.leaks.Add(1)
		return l.Handler.Handle(ctx, r)
	}
	return nil
}

// TestMain fails the run when a test leaves a handle of the engine open.
func TestMain(m *testing.M) {
	// Engines of the tests run on one thread: tests of several packages run at
	// once, and llama.cpp's threads spin while one of them waits for a core.
	runtime.GOMAXPROCS(1)
	var leaks atomic.Int32
	slog.SetDefault(slog.New(leakLog{slog.NewTextHandler(os.Stdout, nil), &leaks}))
	code := m.Run()
	for range 3 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond) // cleanups run on a goroutine of their own
	}
	if leaks.Load() > 0 {
		code = 1
	}
	os.Exit(code)
}

// both runs a test on a model of each kind of vocabulary.
func both(t *testing.T, test func(t *testing.T, kind tinygguf.Tokenizer)) {
	for _, kind := range []tinygguf.Tokenizer{tinygguf.BPE, tinygguf.SPM} {
		t.Run(kind.String(), func(t *testing.T) { test(t, kind) })
	}
}

func writeTiny(t testing.TB, o tinygguf.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

// open opens an engine that is closed at the end of the test. Without a model
// it takes a tiny one, without a rubric the default. It computes with one thread:
// threads wait for each other by spinning, and packages are tested side by side.
func open(t testing.TB, kind tinygguf.Tokenizer, o Options) *Engine {
	t.Helper()
	if o.Model == "" {
		o.Model = writeTiny(t, tinygguf.Options{Tokenizer: kind})
	}
	if len(o.Rubrics) == 0 {
		o.Rubrics = only(load(t, ""))
	}
	o.Threads = max(1, o.Threads)
	e, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

func only(r rubric.Rubric) []rubric.Rubric { return []rubric.Rubric{r} }

func load(t testing.TB, name string) rubric.Rubric {
	t.Helper()
	r, err := rubric.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// brief is a rubric with a short frame.
func brief(t testing.TB, cue string, ratings ...string) rubric.Rubric {
	t.Helper()
	quoted := make([]string, len(ratings))
	values := make([]string, len(ratings))
	for i, s := range ratings {
		quoted[i], values[i] = fmt.Sprintf("%q", s), fmt.Sprint(i)
	}
	r, err := rubric.Parse("brief.toml", fmt.Appendf(nil,
		"user = \"Question:\\n{instruction}\\n{input}\\nAnswer:\\n{response}\\nRate it.\"\ncue = %q\nscale = { ratings = [%s], values = [%s] }\n",
		cue, strings.Join(quoted, ", "), strings.Join(values, ", ")))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// records makes n records of different lengths.
func records(n int) []record.Record {
	random := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("the answer is 42 because of a blue world, and Zürich has no sea; write code: for i := range 10 { print(i) } 漢字 🙂 <|im_end|> </s>")
	text := func(most int) string {
		var b strings.Builder
		for range random.IntN(most) + 1 {
			b.WriteString(words[random.IntN(len(words))] + " "[:random.IntN(2)])
		}
		return b.String()
	}
	list := make([]record.Record, n)
	for i := range list {
		list[i] = record.Record{Index: i, Instruction: text(12), Response: text(5 + i)}
		if i%3 == 0 {
			list[i].Input = text(6)
		}
	}
	return list
}

func encode(t testing.TB, e *Engine, recs ...record.Record) []*grader.Prompt {
	t.Helper()
	var list []*grader.Prompt
	for i := range recs {
		var p grader.Prompt
		if err := e.Encode(&recs[i], &p); err != nil {
			t.Fatal(err)
		}
		list = append(list, &p)
	}
	return list
}

// rate returns the ratings by the first criterion.
func rate(t testing.TB, e *Engine, prompts ...*grader.Prompt) []rating.Rating {
	t.Helper()
	outcomes := make([]grader.Outcome, len(prompts))
	if _, err := e.Rate(context.Background(), prompts, outcomes); err != nil {
		t.Fatal(err)
	}
	list := make([]rating.Rating, len(outcomes))
	for i, o := range outcomes {
		if o.Fault != nil {
			t.Fatal(o.Fault)
		}
		list[i] = o.Ratings[0]
	}
	return list
}

// diff returns the largest difference of a probability.
func diff(a, b rating.Rating) float64 {
	worst := max(a.OffScale-b.OffScale, b.OffScale-a.OffScale)
	for i := range a.Probs {
		worst = max(worst, a.Probs[i]-b.Probs[i], b.Probs[i]-a.Probs[i])
	}
	return worst
}

// rateAll rates prompts in batches that fit the engine, in their order.
func rateAll(t testing.TB, e *Engine, prompts ...*grader.Prompt) []rating.Rating {
	t.Helper()
	var list []rating.Rating
	room := e.Capacity()
	for len(prompts) > 0 {
		n, size := 1, prompts[0].Size
		for n < min(len(prompts), room.Prompts) && size+prompts[n].Size <= room.Tokens {
			size += prompts[n].Size
			n++
		}
		list = append(list, rate(t, e, prompts[:n]...)...)
		prompts = prompts[n:]
	}
	return list
}
