package child

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"winnow/grader"
)

func cancelable(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

// halver halves a script's tokens down to the least.
func halver(t testing.TB, least int) func(json.RawMessage, int) (json.RawMessage, bool) {
	return func(engine json.RawMessage, tokens int) (json.RawMessage, bool) {
		var s script
		if err := json.Unmarshal(engine, &s); err != nil {
			t.Error(err)
		}
		if tokens != 0 && tokens != s.Tokens {
			t.Errorf("the capacity is said to be %d tokens, want %d", tokens, s.Tokens)
		}
		s.Tokens /= 2
		return marshal(t, s), s.Tokens >= least
	}
}

// Without failures, the engine is the one in the process, over many batches, and
// takes no more memory for more of them.
func TestEngine(t *testing.T) {
	s := scripted(t)
	e := start(t, options(t, s))
	if got, want := e.Manifest(), harmless(s).Manifest(); !reflect.DeepEqual(got, want) {
		t.Errorf("manifest %+v, want %+v", got, want)
	}
	if got, want := e.Capacity(), harmless(s).Capacity(); got != want {
		t.Errorf("capacity %+v, want %+v", got, want)
	}
	batch := prompts(t, slices.Repeat([]string{"plain"}, 8)...)
	want, out := expected(t, batch), make([]grader.Outcome, len(batch))
	var before, after runtime.MemStats
	for i := range 3000 {
		w, err := e.Rate(t.Context(), batch, out)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(out, want) || w != (grader.Work{Layout: 1, Decode: 2, Rows: 3}) {
			t.Fatalf("batch %d: %+v, %+v, want %+v", i, w, out, want)
		}
		if i == 500 {
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("2500 batches have left %d bytes in memory", grown)
	}
	if _, err := e.Rate(t.Context(), batch, out[:1]); err == nil {
		t.Error("outcomes are fewer than prompts, and nothing is said")
	}
}

// An error of the engine comes as it is; a death names the model and its end.
func TestStartErrors(t *testing.T) {
	t.Parallel()
	s := scripted(t)
	s.Dir = "absent"
	_, err := Start(t.Context(), options(t, s))
	if err == nil || err.Error() != "absent.gguf: no such file" {
		t.Errorf("error %v, want the engine's own", err)
	}
	for failure, want := range map[string]string{
		"abort": "SIGABRT", "segv": "SIGSEGV", "kill": "SIGKILL", "exit": "exit code 0", "half": "exit code 3", "garbage": "no frame", "id": "not made", "hang": "no answer for 1.5s",
	} {
		s := scripted(t)
		s.Load = failure
		o := options(t, s)
		if failure == "hang" {
			o.Limits.Load = 1500 * time.Millisecond
		}
		_, err := Start(t.Context(), o)
		var died *Error
		if !errors.As(err, &died) || died.Model != "fake.gguf" || died.Doing != "loading it" ||
			!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "the last thing it says") {
			t.Errorf("%s: error %v, want one that names the model, %s and the last words", failure, err, want)
		}
	}
	o := options(t, s)
	o.Command = func() *exec.Cmd { return exec.Command("/nowhere/winnow") }
	if _, err := Start(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: error %v, want that it is not there", err)
	}
	ctx, cancel := cancelable(t)
	s = scripted(t)
	s.Load = "hang"
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	if _, err := Start(ctx, options(t, s)); !errors.Is(err, context.Canceled) || time.Since(began) > 3*time.Second {
		t.Errorf("interrupted while loading: error %v after %v", err, time.Since(began))
	}
}

// Somebody who kills a process that loads a model says nothing of the model; any
// other death does.
func TestKilledWhileLoading(t *testing.T) {
	t.Parallel()
	for _, failure := range []string{"kill", "segv"} {
		s := scripted(t)
		s.Load, s.LoadOnce = failure, true
		e, err := Start(t.Context(), options(t, s))
		if failure != "kill" {
			if !errors.As(err, new(*Error)) {
				t.Errorf("%s: error %v, want one of the model", failure, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", failure, err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The next process must be the same judge.
func TestChangedJudge(t *testing.T) {
	t.Parallel()
	s := scripted(t)
	s.Changes = true
	e := start(t, options(t, s))
	batch := prompts(t, "rate abort once")
	_, err := e.Rate(t.Context(), batch, make([]grader.Outcome, 1))
	if !errors.As(err, new(*Error)) || !strings.Contains(err.Error(), "ctx_size") {
		t.Errorf("error %v, want what differs", err)
	}
}

// What a process logs is passed on once, however many processes load the model.
func TestLog(t *testing.T) {
	t.Parallel()
	s := scripted(t)
	s.Say = "the format is slow"
	o, log := options(t, s), &logged{}
	o.Log = log.logger()
	e := start(t, o)
	batch := prompts(t, "plain", "rate segv once")
	out := make([]grader.Outcome, 2)
	if _, err := e.Rate(t.Context(), batch, out); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(out, expected(t, batch)) {
		t.Errorf("outcomes %+v", out)
	}
	text := log.String()
	if n := strings.Count(text, `level=WARN msg="the format is slow" number=7`); n != 1 {
		t.Errorf("the warning is there %d times, want once: %s", n, text)
	}
	for _, want := range []string{`level=INFO msg="about to fail: segv" from="engine process"`, "level=WARN msg=\"the engine's process died", "SIGSEGV"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %q: %s", want, text)
		}
	}
}

// Close leaves nothing behind, whatever the process is at.
func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, ask := range []string{"plain", "rate segv once", "rate hang once"} {
		o := options(t, scripted(t))
		e, err := Start(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]grader.Outcome, 1)
		if _, err := e.Rate(t.Context(), prompts(t, ask), out); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := syscall.Kill(e.PID(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s: the process is still there, or was not waited for: %v", ask, err)
		}
		if _, err := e.Rate(t.Context(), prompts(t, ask), out); err == nil {
			t.Errorf("%s: a closed engine rates", ask)
		}
	}
	within(t, 5*time.Second, fmt.Sprintf("there are %d goroutines", before), func() bool { return runtime.NumGoroutine() <= before })
}

// parentMain is a process that has an engine which is busy on every thread. It
// prints the engine's process id.
func parentMain() int {
	ctx := context.Background()
	options, err := json.Marshal(script{Dir: os.TempDir(), Tokens: 400, Prompts: 8, Lanes: 1, Spin: true})
	if err != nil {
		return 1
	}
	e, err := Start(ctx, Options{Model: "fake.gguf", Command: fakeCommand, Engine: options})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		time.Sleep(300 * time.Millisecond)
		fmt.Println(e.PID())
	}()
	_, err = e.Rate(ctx, []*grader.Prompt{{Tokens: make([]int32, actionAt), Size: actionAt}}, make([]grader.Outcome, 1))
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// When the parent is killed, the process goes too, though all its threads are
// busy.
func TestParentKilled(t *testing.T) {
	t.Parallel()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), roleEnv+"=parent", "GOMAXPROCS=2")
	var stderr bytes.Buffer
	parent.Stderr = &stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if gone(pid) {
		t.Fatal("the engine's process is not there to begin with")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "the engine's process is gone", func() bool { return gone(pid) })
	_ = parent.Wait() // it was killed
}

// The end of its pipe alone ends a process, without the parent's death, though
// all its threads are busy.
func TestPipeEnds(t *testing.T) {
	t.Parallel()
	s := scripted(t)
	s.Spin = true
	cmd := fakeCommand()
	cmd.Env = append(cmd.Env, "GOMAXPROCS=2")
	p, err := launch(cmd, newRelay((&logged{}).logger()))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.open(t.Context(), marshal(t, s), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	died := make(chan error)
	go func() {
		batch := prompts(t, "plain")
		_, err := p.rate(context.Background(), batch, make([]grader.Outcome, 1), limit{answer: time.Hour})
		died <- err
	}()
	time.Sleep(300 * time.Millisecond)
	if err := p.requests.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.gone:
	case <-time.After(2 * time.Second):
		p.kill("the test is over", false)
		t.Error("the process is still there after 2 s")
	}
	if err := <-died; !errors.As(err, new(*death)) || !strings.Contains(err.Error(), "exit code 0") {
		t.Errorf("the batch ended with %v", err)
	}
}
