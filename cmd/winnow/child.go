package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"winnow/grader"
	"winnow/grader/child"
	"winnow/grader/engine"
	"winnow/llama"
)

// childEnv is set in the environment of a process that is to be an engine's: the
// program starts itself.
const childEnv = "WINNOW_ENGINE_PROCESS"

// childEngine is what such a process gets to open its engine.
type childEngine struct {
	Options engine.Options
	Level   slog.Level
}

// isChild reports whether this process is an engine's.
func isChild() bool { return os.Getenv(childEnv) != "" }

// childMain is main of an engine's process. It returns the exit code.
func childMain() int {
	// The parent decides what a signal to both means: the batch may be finished.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	slog.SetDefault(child.Logger(os.Stderr, slog.LevelWarn))
	in, out := os.NewFile(child.RequestsFD, "requests"), os.NewFile(child.AnswersFD, "answers")
	for _, f := range []*os.File{in, out} {
		if info, err := f.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
			say(os.Stderr, "winnow: %s is set, but this process was not started by winnow: unset it\n", childEnv)
			return exitUsage
		}
	}
	if err := child.Serve(in, out, openInChild); err != nil {
		say(os.Stderr, "winnow: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// openInChild opens the engine within its process.
func openInChild(options json.RawMessage) (grader.Engine, error) {
	var o childEngine
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("read the engine's options: %w", err)
	}
	slog.SetDefault(child.Logger(os.Stderr, o.Level))
	e, err := engine.Open(o.Options)
	if err != nil {
		return nil, classify(err)
	}
	return servedEngine{e}, nil
}

// servedEngine is an engine whose errors the parent can act on.
type servedEngine struct{ *engine.Engine }

// Rate implements grader.Engine.
func (e servedEngine) Rate(ctx context.Context, batch []*grader.Prompt, out []grader.Outcome) (grader.Work, error) {
	w, err := e.Engine.Rate(ctx, batch, out)
	return w, classify(err)
}

// classify marks an error of the engine as one that the parent acts on.
func classify(err error) error {
	switch {
	case errors.Is(err, llama.ErrNoMemory):
		return classified{err, child.ErrMemory}
	case errors.Is(err, llama.ErrFatal):
		return classified{err, child.ErrFatal}
	}
	return err
}

// classified is an error with the text of one error that is also another one.
type classified struct {
	error
	class error
}

// Unwrap returns both.
func (e classified) Unwrap() []error { return []error{e.error, e.class} }

// openChild opens an engine in a process of its own.
func openChild(ctx context.Context, o engine.Options) (*child.Engine, error) {
	if err := checkCPU(); err != nil {
		return nil, err
	}
	exe, err := ownProgram()
	if err != nil {
		return nil, fmt.Errorf("start the engine in a process of its own: %w; --in-process does without one", err)
	}
	level := logLevel(ctx)
	options, err := json.Marshal(childEngine{o, level})
	if err != nil {
		return nil, fmt.Errorf("write the engine's options: %w", err)
	}
	e, err := child.Start(ctx, child.Options{
		Model:   o.Model,
		Command: func() *exec.Cmd { return childCommand(exe, level) },
		Engine:  options,
		Smaller: smallerBatch,
		Limits:  child.Limits{Load: loadLimit(o.Model)},
	})
	switch {
	case err == nil:
		return e, nil
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, modelError{err}
}

// ownProgram is the path of this program, also if another one stands where it was
// started from.
func ownProgram() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	const running = "/proc/self/exe"
	if _, err := os.Stat(running); err == nil && !sameFile(exe, running) {
		return running, nil
	}
	return exe, nil
}

// childCommand is the command of an engine's process. Its name is this process's.
func childCommand(exe string, level slog.Level) *exec.Cmd {
	c := exec.Command(exe)
	c.Args = []string{os.Args[0], "(engine)"}
	c.Env = append(os.Environ(), childEnv+"=1")
	if level > slog.LevelDebug {
		// Traces say nothing to users, and ggml's may take a debugger and its time.
		c.Env = append(c.Env, "GGML_NO_BACKTRACE=1")
		if os.Getenv("GOTRACEBACK") == "" {
			c.Env = append(c.Env, "GOTRACEBACK=none")
		}
	}
	return c
}

// smallerBatch halves an engine's batch, for child.Options.
func smallerBatch(options json.RawMessage, tokens int) (json.RawMessage, bool) {
	var o childEngine
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, false
	}
	if tokens == 0 { // it could not be opened
		if tokens = o.Options.Batch; tokens == 0 {
			tokens = max(o.Options.Cells, engine.DefaultBatch)
		}
	}
	if tokens/2 < engine.MinBatch {
		return nil, false
	}
	o.Options.Batch = tokens / 2
	smaller, err := json.Marshal(o)
	return smaller, err == nil
}

// loadLimit is how long a model may take to load: ten minutes, and a second for
// each 20 MB, which is a slow disk's rate. Its hash is made in that time too.
func loadLimit(model string) time.Duration {
	const bytesASecond = 20e6
	limit := 10 * time.Minute
	if info, err := os.Stat(model); err == nil {
		limit += time.Duration(float64(info.Size()) / bytesASecond * float64(time.Second))
	}
	return limit
}

// logLevel is the least level that the program logs.
func logLevel(ctx context.Context) slog.Level {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		if slog.Default().Enabled(ctx, level) {
			return level
		}
	}
	return slog.LevelWarn
}
