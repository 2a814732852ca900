package child

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"winnow/grader"
	"winnow/grader/journal"
	"winnow/grader/record"
)

// roleEnv makes the test binary an engine's process, or a parent of one.
const roleEnv = "WINNOW_CHILD_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "engine":
		out := os.NewFile(AnswersFD, "answers")
		err := Serve(os.NewFile(RequestsFD, "requests"), out, func(options json.RawMessage) (grader.Engine, error) {
			return openFake(options, out)
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "answer":
		os.Exit(answerMain())
	case "parent":
		os.Exit(parentMain())
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// options are those of a fake engine in a process of its own.
func options(t testing.TB, s script) Options {
	return Options{
		Model:   "fake.gguf",
		Command: fakeCommand,
		Engine:  marshal(t, s),
		Limits:  Limits{Load: 30 * time.Second, First: 3 * time.Second, Rate: time.Second, Encode: 2 * time.Second},
	}
}

func fakeCommand() *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), roleEnv+"=engine", "GOTRACEBACK=none")
	return c
}

func marshal(t testing.TB, s script) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// start starts an engine that the test closes when it is over.
func start(t testing.TB, o Options) *Engine {
	t.Helper()
	e, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// corpus is n records, one a line; ask says what some of them ask for.
func corpus(n int, ask map[int]string) []byte {
	var b bytes.Buffer
	for i := range n {
		what := "plain"
		if s, ok := ask[i]; ok {
			what = s
		}
		fmt.Fprintf(&b, "{\"instruction\": \"%s %d\", \"output\": \"answer %d\"}\n", what, i, i)
	}
	return b.Bytes()
}

// harmless is the engine in this process that does not fail.
func harmless(s script) *fake {
	s.Harmless = true
	return &fake{script: s}
}

// grade grades data into a new journal and returns its path.
func grade(t testing.TB, data []byte, e grader.Engine) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	o := grader.GradeOptions{MaxOffScale: 0.9}
	j, err := journal.Open(path, grader.Manifest(e, o))
	if err != nil {
		t.Fatal(err)
	}
	src := record.NewReader(bytes.NewReader(data), "records.jsonl", record.Options{})
	_, err = grader.Grade(t.Context(), src, e, j, j, o)
	if closeErr := j.Close(); closeErr != nil {
		t.Fatal(closeErr)
	}
	return path, err
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// prompts encodes records that ask for what they are given.
func prompts(t testing.TB, asks ...string) []*grader.Prompt {
	t.Helper()
	f := harmless(script{})
	var list []*grader.Prompt
	for i := 0; len(list) < len(asks); i++ {
		rec := record.Parse(fmt.Appendf(nil, `{"instruction": "%s %d", "output": "answer"}`, asks[len(list)], i), 0, "x", 1, record.Fields{})[0]
		var p grader.Prompt
		if f.Encode(rec, &p) == nil { // some are too long
			list = append(list, &p)
		}
	}
	return list
}

// expected is what becomes of prompts.
func expected(t testing.TB, batch []*grader.Prompt) []grader.Outcome {
	t.Helper()
	out := make([]grader.Outcome, len(batch))
	if _, err := harmless(script{Dir: "none", Tokens: 1 << 20, Prompts: 1 << 20}).Rate(t.Context(), batch, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// gone reports whether no process of that id computes any more.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return len(rest) > 0 && strings.ContainsRune("ZX", rune(rest[0]))
}

// within waits until a condition holds.
func within(t testing.TB, d time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v it is still not so that %s", d, what)
		}
	}
}

// logged is a log that tests look into.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, nil))
}
