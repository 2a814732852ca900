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
	"strings"
	"syscall"
	"time"

	"winnow/grader"
	"winnow/grader/child"
	"winnow/grader/engine"
	"winnow/grader/placement"
	"winnow/llama"
)

// childEnv is set in the environment of a process that is to be an engine's, or is
// to say which GPUs there are: the program starts itself.
const (
	childEnv    = "WINNOW_ENGINE_PROCESS"
	listDevices = "devices"
)

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
	serve := func() error { return child.Serve(in, out, openInChild) }
	if os.Getenv(childEnv) == listDevices {
		serve = func() error { return child.Answer(in, out, gpusInChild) }
	}
	if err := serve(); err != nil {
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

// gpusInChild lists the GPUs.
func gpusInChild(question json.RawMessage) (any, error) {
	var level slog.Level
	if err := json.Unmarshal(question, &level); err != nil {
		return nil, fmt.Errorf("read the level of the log: %w", err)
	}
	slog.SetDefault(child.Logger(os.Stderr, level))
	return engine.GPUs(), nil
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

// openChild opens an engine in a process of its own, or one on each GPU. settle
// fills in what depends on the GPUs.
func openChild(ctx context.Context, o engine.Options, settle func(*engine.Options, []placement.Device) error) (grader.Engine, error) {
	if err := checkCPU(); err != nil {
		return nil, err
	}
	exe, err := ownProgram()
	if err != nil {
		return nil, fmt.Errorf("start the engine in a process of its own: %w; --in-process does without one", err)
	}
	level := logLevel(ctx)
	gpus, err := askGPUs(ctx, exe, level, o)
	if err != nil {
		return nil, err
	}
	list, err := placed(o, gpus, settle)
	if err != nil {
		return nil, err
	}
	var members []child.Member
	for _, p := range list {
		m, err := member(exe, level, p, len(gpus))
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	var e grader.Engine
	if len(members) == 1 {
		e, err = child.Start(ctx, members[0].Options)
	} else {
		e, err = child.StartGroup(ctx, members, nil)
	}
	switch {
	case err == nil:
		return e, nil
	case ctx.Err() != nil:
		return nil, err
	}
	return nil, modelError{err}
}

// member says how the process of an engine is started, on a machine with so many
// GPUs.
func member(exe string, level slog.Level, o engine.Options, gpus int) (child.Member, error) {
	m := child.Member{Name: deviceNames(o.Place)}
	place, env := narrow(*o.Place, gpus)
	o.Place = &place
	options, err := json.Marshal(childEngine{o, level})
	if err != nil {
		return m, fmt.Errorf("write the engine's options: %w", err)
	}
	m.Options = child.Options{
		Model:   o.Model,
		Command: func() *exec.Cmd { return childCommand(exe, level, "1", env) },
		Engine:  options,
		Smaller: smallerBatch,
		Limits:  child.Limits{Load: loadLimit(o.Model)},
	}
	return m, nil
}

// placed decides which engines rate.
func placed(o engine.Options, gpus []placement.Device, settle func(*engine.Options, []placement.Device) error) ([]engine.Options, error) {
	allowed, err := usable(o, gpus)
	if err != nil {
		return nil, err
	}
	if err := settle(&o, allowed); err != nil {
		return nil, err
	}
	list, plan, err := engine.Place(o, gpus)
	if err != nil {
		return nil, placeError(err)
	}
	engine.Tell(plan)
	return list, nil
}

// deviceNames names an engine's GPUs for messages.
func deviceNames(p *placement.Child) string {
	var list []string
	for _, s := range p.Shares {
		list = append(list, s.Device.Name)
	}
	return strings.Join(list, ", ")
}

// askGPUs lists the GPUs that an engine may use. A process that ends at once looks
// for them: what looks at a GPU has CUDA started there and takes some hundred
// megabytes of its memory until it ends, a GPU that is broken may end or hang it,
// and neither the program nor the engine of another GPU is to be that process.
func askGPUs(ctx context.Context, exe string, level slog.Level, o engine.Options) ([]placement.Device, error) {
	if o.GPULayers == 0 {
		return nil, nil
	}
	question, err := json.Marshal(level)
	if err != nil {
		return nil, err
	}
	var gpus []placement.Device
	err = child.Ask(ctx, childCommand(exe, level, listDevices, ""), question, listLimit, nil, &gpus)
	switch {
	case err == nil:
		return gpus, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case o.GPULayers > 0 || len(o.Devices) > 0:
		return nil, modelError{fmt.Errorf("look for GPUs: %w; --device none computes on the CPU", err)}
	}
	slog.Warn("the GPUs of this machine cannot be listed: the CPU computes", "error", err)
	return nil, nil
}

// listLimit is how long listing the GPUs may take: the driver may have to start.
const listLimit = time.Minute

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

// childCommand is the command of an engine's process, or of another task's, with a
// variable more in its environment if one is given. Its name is this process's.
func childCommand(exe string, level slog.Level, task, env string) *exec.Cmd {
	c := exec.Command(exe)
	c.Args = []string{os.Args[0], "(engine)"}
	c.Env = append(os.Environ(), childEnv+"="+task)
	if env != "" {
		c.Env = append(c.Env, env)
	}
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
