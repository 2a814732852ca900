package child

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"winnow/grader"
)

// Memory is suspected where the engine says so or the kernel killed the process.
func TestSuspect(t *testing.T) {
	kills, known := oomKills()
	for _, c := range []struct {
		name   string
		signal syscall.Signal
		words  string
		kills  int64
		known  bool
		want   suspicion
	}{
		{"CUDA", 0, "CUDA error: out of memory", kills, known, certain},
		{"C++", syscall.SIGABRT, "terminate called after throwing an instance of 'std::bad_alloc'", kills, known, certain},
		{"a crash", syscall.SIGSEGV, "GGML_ASSERT(n > 0) failed", kills, known, unlikely},
		{"the kernel", syscall.SIGKILL, "", kills - 1, known, certain},
		{"unknown", syscall.SIGKILL, "", 0, false, possible},
	} {
		if !known && c.want == certain && c.words == "" {
			continue // this kernel does not count
		}
		if got := suspect(c.signal, []string{"loading", c.words}, c.kills, c.known); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestLastWords(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{nil, ""},
		{[]string{"one", "two", "three", "", "four"}, "two; three; four"},
		{[]string{"ggml.c:12: GGML_ASSERT(x) failed", "SIGABRT: abort"}, "ggml.c:12: GGML_ASSERT(x) failed"},
		{[]string{"bad \xff byte", strings.Repeat("é", 200)}, "bad � byte; " + strings.Repeat("é", 120) + "…"},
	} {
		if got := lastWords(c.lines); got != c.want {
			t.Errorf("%q: %q, want %q", c.lines, got, c.want)
		}
	}
}

// Lines of Logger come out as the messages that they were, others as text.
func TestRelay(t *testing.T) {
	var lines bytes.Buffer
	Logger(&lines, slog.LevelInfo).Warn("it is \"slow\"", "tokens", 12, "why", "a b", "ok", true)
	Logger(&lines, slog.LevelInfo).Debug("not told")
	Logger(&lines, slog.LevelInfo).Error("it failed")
	lines.WriteString("GGML_ASSERT\r\n\n{\"level\":\"WARN\",\"msg\":7\nlast")
	var log logged
	tl := &tail{relay: newRelay(log.logger())}
	tl.read(&lines)
	want := []string{
		`level=WARN msg="it is \"slow\"" tokens=12 why="a b" ok=true`, `level=ERROR msg="it failed"`, `level=INFO msg=GGML_ASSERT from="engine process"`,
		`level=INFO msg="{\"level\":\"WARN\",\"msg\":7" from="engine process"`, `level=INFO msg=last from="engine process"`,
	}
	var got []string
	for line := range strings.Lines(log.String()) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ") // the time
		got = append(got, line)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if words := []string{"it failed", "GGML_ASSERT", `{"level":"WARN","msg":7`, "last"}; !reflect.DeepEqual(tl.last(), words) {
		t.Errorf("kept %q, want %q", tl.last(), words)
	}
	tl.read(strings.NewReader("panic: no\n\ngoroutine 1 [running]:\nmain.main()\n"))
	if kept := tl.last(); kept[len(kept)-1] != "goroutine 1 [running]:" || strings.Contains(log.String(), "main.main") {
		t.Errorf("of a panic are kept %q", kept)
	}
	tl.trace = false
	for range 3 * tailLines {
		tl.line(bytes.Repeat([]byte("x"), 9))
	}
	if n := len(tl.last()); n != tailLines {
		t.Errorf("%d lines are kept, want %d", n, tailLines)
	}
}

// What is no conversation of ours ends the process.
func TestServe(t *testing.T) {
	open := func(json.RawMessage) (grader.Engine, error) {
		return harmless(script{Tokens: 400, Prompts: 8, Lanes: 1}), nil
	}
	for _, c := range []struct {
		name string
		in   []byte
		exit int
		err  string
	}{
		{"nothing", nil, 0, ""},
		{"half a request", sealed(askOpen, 1, "{}")[:9], 0, ""},
		{"garbage", []byte("GET / HTTP/1.1 and so on and on"), 1, ""},
		{"no engine to rate with", sealed(askRate, 1, ""), 0, "kind 3"},
		{"an unknown request", append(sealed(askOpen, 1, "{}"), sealed(99, 2, "")...), 0, "kind 99"},
	} {
		exits := make(chan int, 2)
		err := serve(bytes.NewReader(c.in), io.Discard, open, func(code int) { exits <- code })
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
		if c.err == "" {
			if code := <-exits; code != c.exit {
				t.Errorf("%s: exit code %d, want %d", c.name, code, c.exit)
			}
		}
	}
}
