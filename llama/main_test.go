package llama

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"winnow/internal/tinygguf"
)

// leaks collects what the hook reports during the tests.
var leaks struct {
	sync.Mutex
	list []string
}

// TestMain fails the run when a test leaves a handle open.
func TestMain(m *testing.M) {
	if spec := os.Getenv(loaderEnv); spec != "" {
		os.Exit(loadDamaged(spec))
	}
	hook := func(what string) {
		leaks.Lock()
		defer leaks.Unlock()
		leaks.list = append(leaks.list, what)
	}
	onLeak.Store(&hook)
	code := m.Run()
	for range 3 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond) // cleanups run on a goroutine of their own
	}
	leaks.Lock()
	defer leaks.Unlock()
	if len(leaks.list) > 0 {
		fmt.Printf("handles that were never closed: %q\n", leaks.list)
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

// writeTiny writes a tiny model and returns its path.
func writeTiny(t testing.TB, o tinygguf.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := tinygguf.WriteFile(path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

// closer is a handle that a test closes at its end.
type closer interface{ Close() error }

func closeAtEnd(t testing.TB, c closer) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func loadTiny(t testing.TB, o tinygguf.Options) *Model {
	t.Helper()
	m, err := LoadModel(writeTiny(t, o), ModelOptions{})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, m)
	return m
}

func openContext(t testing.TB, m *Model, o ContextOptions) *Context {
	t.Helper()
	c, err := NewContext(m, o)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, c)
	return c
}

// small is a context for tests of one sequence or a few.
var small = ContextOptions{Ctx: 256, Batch: 64, Threads: 1, FlashAttention: true}

func makeBatch(t testing.TB, tokens, seqs int) *Batch {
	t.Helper()
	b, err := NewBatch(tokens, seqs)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, b)
	return b
}

func tokenize(t testing.TB, m *Model, text string) []Token {
	t.Helper()
	toks, err := m.Vocab().Tokenize(nil, text, true)
	if err != nil {
		t.Fatal(err)
	}
	return toks
}

// run is a text at a position of some sequences.
type run struct {
	tokens []Token
	pos    int
	seqs   []SeqID
}

// decode decodes runs as one batch and returns a copy of the logits behind the
// last token of each. Every token has an output: one row alone is computed by
// another kernel than several, and rounded differently.
func decode(t testing.TB, c *Context, runs ...run) [][]float32 {
	t.Helper()
	b := makeBatch(t, 64, MaxSeqs)
	var last []int
	for _, r := range runs {
		for i, tok := range r.tokens {
			if err := b.Add(tok, r.pos+i, r.seqs, true); err != nil {
				t.Fatal(err)
			}
		}
		last = append(last, b.Len()-1)
	}
	if err := c.Decode(b); err != nil {
		t.Fatal(err)
	}
	rows := make([][]float32, len(runs))
	for i, at := range last {
		rows[i] = make([]float32, c.model.vocab.size)
		if err := c.CopyLogits(rows[i], at); err != nil {
			t.Fatal(err)
		}
	}
	return rows
}
