package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"winnow/grader/child"
	"winnow/grader/engine"
	"winnow/grader/rubric"
	"winnow/llama"
)

// The process of the engine gets all that decides a rating.
func TestChildOptions(t *testing.T) {
	o := childEngine{Options: engine.Options{Model: "m.gguf", Rubrics: rubric.Shipped(), Ctx: 1, Batch: 2, Cells: 3, Lanes: 4, Threads: 5, GPULayers: -1, NoFlashAttention: true, Deterministic: true, TooLong: engine.Truncate}, Level: slog.LevelInfo}
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var got childEngine
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for i, r := range o.Options.Rubrics {
		if got.Options.Rubrics[i].Name != r.Name || got.Options.Rubrics[i].SHA256() != r.SHA256() {
			t.Errorf("rubric %s arrives as another one", r.Name)
		}
	}
	o.Options.Rubrics, got.Options.Rubrics = nil, nil
	if !reflect.DeepEqual(got, o) {
		t.Errorf("options arrive as %+v, want %+v", got, o)
	}
}

// Batches are halved down to the least that an engine takes.
func TestSmallerBatch(t *testing.T) {
	for _, c := range []struct {
		options engine.Options
		tokens  int // of the engine
		want    int // 0: there is no smaller one
	}{
		{engine.Options{}, 0, engine.DefaultBatch / 2},
		{engine.Options{Batch: 300}, 0, 150},
		{engine.Options{Batch: 300}, 300, 150},
		{engine.Options{Cells: 4096}, 4001, 2000},
		{engine.Options{Batch: 2 * engine.MinBatch}, 0, engine.MinBatch},
		{engine.Options{Batch: engine.MinBatch}, engine.MinBatch, 0},
	} {
		b, err := json.Marshal(childEngine{Options: c.options})
		if err != nil {
			t.Fatal(err)
		}
		smaller, ok := smallerBatch(b, c.tokens)
		var got childEngine
		if ok {
			if err := json.Unmarshal(smaller, &got); err != nil {
				t.Fatal(err)
			}
		}
		if ok != (c.want > 0) || got.Options.Batch != c.want {
			t.Errorf("%+v of %d tokens: a batch of %d (%t), want %d", c.options, c.tokens, got.Options.Batch, ok, c.want)
		}
	}
}

// A model whose process dies is one that cannot be used, whatever it was at; what
// the parent acts on keeps its text.
func TestChildErrors(t *testing.T) {
	died := &child.Error{Model: "m.gguf", Doing: "rating", Death: "it was killed"}
	if code := exitCode(fmt.Errorf("rate records 1 to 9: %w", died)); code != exitModel {
		t.Errorf("exit code %d, want %d", code, exitModel)
	}
	for from, to := range map[error]error{llama.ErrNoMemory: child.ErrMemory, llama.ErrFatal: child.ErrFatal} {
		err := fmt.Errorf("decode: %w", from)
		if got := classify(err); !errors.Is(got, to) || !errors.Is(got, from) || got.Error() != err.Error() {
			t.Errorf("%v becomes %v, want an error that is %v too", err, got, to)
		}
	}
	if err := classify(llama.ErrInvalidBatch); errors.Is(err, child.ErrMemory) || errors.Is(err, child.ErrFatal) {
		t.Errorf("%v is taken for what it is not", err)
	}
}

// strikeCmd runs "strike WHO FILE BYTES": as soon as the file has more than so
// many bytes, WHO gets SIGKILL: "engine", the process of the engine that the
// program in the background has started, or "program", the program itself, whose
// engine must then be gone within two seconds.
func strikeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || args[0] != "engine" && args[0] != "program" || len(ts.BackgroundCmds()) != 1 {
		ts.Fatalf("usage: strike engine|program file bytes, with one program in the background")
	}
	size, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	path, program := ts.MkAbs(args[1]), ts.BackgroundCmds()[0].Process
	waitFor(ts, time.Minute, fmt.Sprintf("%s has more than %d bytes", args[1], size), func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Size() > size
	})
	engines := childrenOf(ts, program.Pid)
	if len(engines) != 1 {
		ts.Fatalf("the program has %d processes, want the engine's", len(engines))
	}
	if args[0] == "engine" {
		ts.Check(syscall.Kill(engines[0], syscall.SIGKILL))
		return
	}
	ts.Check(program.Kill())
	waitFor(ts, 2*time.Second, "the engine's process is gone", func() bool {
		stat, err := processStat(engines[0])
		return err != nil || stat.ended()
	})
}

func waitFor(ts *testscript.TestScript, d time.Duration, what string, holds func() bool) {
	for deadline := time.Now().Add(d); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("after %v it is still not so that %s", d, what)
		}
	}
}

// childrenOf returns the processes that a process has started.
func childrenOf(ts *testscript.TestScript, parent int) []int {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	ts.Check(err)
	var children []int
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		ts.Check(err)
		if stat, err := processStat(pid); err == nil && stat.parent == parent && !stat.ended() {
			children = append(children, pid)
		}
	}
	return children
}
