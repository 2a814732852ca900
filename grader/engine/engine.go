// Package engine rates prompts with llama.cpp. It is the only part of the
// grader that links C++.
//
// What all prompts share is decoded once and stays in the cache under every
// sequence id. A batch holds whole prompts behind it; each carries the inner
// nodes of the scale's trie beside it, so that one pass gives the probability of
// every rating string. Afterwards the batch's cells are freed at once.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"runtime"
	"strconv"

	"winnow/grader"
	"winnow/grader/journal"
	"winnow/grader/prompt"
	"winnow/grader/rating"
	"winnow/grader/rubric"
	"winnow/internal/osthread"
	"winnow/llama"
)

// Defaults of Options.
const (
	DefaultCtx   = 4096 // tokens
	DefaultBatch = 512  // tokens; more makes attention slower on a CPU
	MinBatch     = 16   // tokens; the least that Options takes
)

// TooLong is what happens to a record that does not fit the context.
type TooLong string

// The ways to treat a record that is too long.
const (
	Skip     TooLong = "skip"     // it gets no rating
	Truncate TooLong = "truncate" // the middle of its response is left out, and its entry says so
)

// Options says which model rates by which rubric, and how.
type Options struct {
	Model            string // path of a GGUF file
	Rubric           rubric.Rubric
	Ctx              int // tokens that one record's prompt may have; 0 for DefaultCtx or the model's training context if that is less
	Batch            int // tokens of one batch; 0 for DefaultBatch
	Threads          int // 0 for all cores that the process may use
	GPULayers        int // layers on the GPU; negative for all
	NoFlashAttention bool
	TooLong          TooLong // "" for Skip
}

// Engine is a model, a rubric and a context. Encode, Trace and Manifest may be
// called concurrently, Rate and Close by one goroutine at a time.
type Engine struct {
	o        Options
	info     llama.Info
	model    *llama.Model
	frame    *prompt.Frame
	tok      *tokenizer
	trie     *rating.Trie
	branches [][]int // trie nodes of each branch
	prefix   []int32 // tokens before the first text of a record
	manifest journal.Manifest

	thread *osthread.Thread // owns what follows
	ctx    *llama.Context
	batch  *llama.Batch
	primed bool // the prefix is in the cache
	all    []llama.SeqID
}

// Open loads the model and prepares it for the rubric.
func Open(o Options) (*Engine, error) {
	if o.Batch == 0 {
		o.Batch = DefaultBatch
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0) // knows of affinity and of a container's quota
	}
	if o.TooLong == "" {
		o.TooLong = Skip
	}
	if o.Ctx < 0 || o.Batch < MinBatch || o.Threads < 1 || o.TooLong != Skip && o.TooLong != Truncate {
		return nil, fmt.Errorf("context of %d tokens, batches of %d, %d threads, %q: want a context of 0 or more, batches of %d or more, 1 thread or more, skip or truncate", o.Ctx, o.Batch, o.Threads, o.TooLong, MinBatch)
	}
	e := &Engine{o: o}
	if err := e.open(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Engine) open() error {
	var err error
	if e.model, err = llama.LoadModel(e.o.Model, llama.ModelOptions{GPULayers: e.o.GPULayers}); err != nil {
		return err
	}
	if e.info, err = e.model.Info(); err != nil {
		return err
	}
	if !e.info.Decoder {
		return fmt.Errorf("model %s (%s) cannot grade: it must be a decoder-only transformer, not recurrent, encoder or diffusion", e.o.Model, e.info.Arch)
	}
	e.warnSlowFormat()
	if e.o.Ctx == 0 {
		e.o.Ctx = min(DefaultCtx, e.info.CtxTrain)
	}
	if e.o.Ctx > e.info.CtxTrain {
		slog.Warn("the context is longer than the model was trained with", "tokens", e.o.Ctx, "trained", e.info.CtxTrain)
	}
	template, err := e.model.ChatTemplate()
	if err != nil {
		return err
	}
	e.tok = newTokenizer(e.model.Vocab())
	e.frame, err = prompt.NewFrame(e.o.Rubric, prompt.Model{
		Template: template,
		BOS:      e.tok.special(e.model.Vocab().BOS()),
		EOS:      e.tok.special(e.model.Vocab().EOS()),
		Apply:    applyTemplate,
	})
	if err != nil {
		return fmt.Errorf("model %s: %w", e.o.Model, err)
	}
	if err := e.encodeFrame(); err != nil {
		return fmt.Errorf("model %s, rubric %s: %w", e.o.Model, e.o.Rubric.Name, err)
	}
	if err := e.describe(); err != nil {
		return err
	}
	e.thread = osthread.Start()
	return e.thread.Do(context.Background(), func() error {
		for s := range llama.MaxSeqs {
			e.all = append(e.all, llama.SeqID(s))
		}
		cells := roundUp(max(e.o.Ctx, len(e.prefix)+e.o.Batch), 256)
		e.ctx, err = llama.NewContext(e.model, llama.ContextOptions{
			Ctx: cells, Batch: e.o.Batch, Threads: e.o.Threads, FlashAttention: !e.o.NoFlashAttention,
		})
		if err != nil {
			return err
		}
		e.batch, err = llama.NewBatch(e.o.Batch, llama.MaxSeqs)
		return err
	})
}

// encodeFrame tokenizes what all prompts share and builds the scale's trie.
func (e *Engine) encodeFrame() error {
	var err error
	if e.prefix, err = e.tok.prefix(e.frame.Prefix()); err != nil {
		return err
	}
	if len(e.prefix) == 0 {
		return errors.New("the prompt begins with the record itself: put text before the first placeholder")
	}
	segments := e.frame.Segments()
	if err := e.tok.protect(e.frame.Prefix(), segments); err != nil {
		return err
	}
	before := ""
	if len(segments) > 0 {
		before = segments[len(segments)-1].Text
	}
	scale := e.o.Rubric.Scale
	seqs := make([][]int32, len(scale.Strings))
	for i, s := range scale.Strings {
		if seqs[i], err = e.tok.answer(before, e.o.Rubric.Cue+s); err != nil {
			return err
		}
	}
	if e.trie, err = rating.NewTrie(scale, seqs); err != nil {
		return err
	}
	e.branches = e.trie.Branches()
	if room := e.o.Ctx - len(e.prefix) - len(e.trie.Prefix) - e.trie.InnerNodes(); room < 32 {
		return fmt.Errorf("a context of %d tokens leaves %d for a record: the rubric takes the rest; raise -c", e.o.Ctx, room)
	}
	if n := len(e.branches); n > llama.MaxSeqs {
		return fmt.Errorf("the scale needs %d sequences a record, llama.cpp has %d: use fewer ratings", n, llama.MaxSeqs)
	}
	return nil
}

func (e *Engine) describe() error {
	sum, err := e.model.SHA256()
	if err != nil {
		return err
	}
	scale := e.o.Rubric.Scale
	e.manifest = journal.Manifest{
		Model:    journal.Model{Name: filepath.Base(e.o.Model), SHA256: sum, Format: e.info.Format},
		Rubrics:  []journal.Rubric{{Name: e.o.Rubric.Name, SHA256: e.o.Rubric.SHA256()}},
		Scale:    journal.Scale{Strings: scale.Strings, Values: scale.Values},
		Template: journal.Template{Source: e.frame.Source(), SHA256: e.frame.SHA256()},
		Runtime:  journal.Runtime{Engine: llama.Version(), Device: e.device()},
		Settings: map[string]string{
			"ctx_size":        strconv.Itoa(e.o.Ctx),
			"too_long":        string(e.o.TooLong),
			"flash_attention": strconv.FormatBool(!e.o.NoFlashAttention),
		},
	}
	return nil
}

// device names what computes, the CPU or the first GPU that takes layers.
func (e *Engine) device() string {
	if e.o.GPULayers != 0 {
		for _, d := range llama.Devices() {
			if d.GPU {
				return d.Name + " " + d.Description
			}
		}
	}
	return "CPU"
}

// Manifest implements grader.Engine.
func (e *Engine) Manifest() journal.Manifest { return e.manifest }

// Info returns the model's facts.
func (e *Engine) Info() llama.Info { return e.info }

// Model returns the loaded model, which the engine keeps owning.
func (e *Engine) Model() *llama.Model { return e.model }

// Options returns the options in force, with defaults filled in.
func (e *Engine) Options() Options { return e.o }

// Note says how the chat template was applied.
func (e *Engine) Note() string { return e.frame.Note() }

// PrefixTokens returns the number of tokens that all prompts share.
func (e *Engine) PrefixTokens() int { return len(e.prefix) }

// RatingTokens returns the number of tokens that a rating costs beside the
// record's own.
func (e *Engine) RatingTokens() int { return len(e.trie.Prefix) + e.trie.InnerNodes() }

// Capacity implements grader.Engine.
func (e *Engine) Capacity() grader.Capacity {
	return grader.Capacity{Tokens: e.o.Batch, Prompts: llama.MaxSeqs / e.width()}
}

// width is the number of sequences that one prompt takes.
func (e *Engine) width() int { return max(1, len(e.branches)) }

// Close frees the model and everything made from it. It may be called twice.
func (e *Engine) Close() error {
	var errs []error
	if e.thread != nil {
		err := e.thread.Do(context.Background(), func() error {
			if e.batch != nil {
				errs = append(errs, e.batch.Close())
			}
			if e.ctx != nil {
				errs = append(errs, e.ctx.Close())
			}
			return nil
		})
		if err != nil && !errors.Is(err, osthread.ErrStopped) {
			errs = append(errs, err)
		}
		e.thread.Stop()
	}
	if e.model != nil {
		errs = append(errs, e.model.Close())
	}
	return errors.Join(errs...)
}

func applyTemplate(template string, messages []prompt.Message) (string, error) {
	list := make([]llama.Message, len(messages))
	for i, m := range messages {
		list[i] = llama.Message(m)
	}
	return llama.ApplyChatTemplate(template, list)
}

func roundUp(n, step int) int { return (n + step - 1) / step * step }

// logSumExp returns the logarithm of the sum of a row's exponentials.
func logSumExp(row []float32) float64 {
	top := float32(math.Inf(-1))
	for _, x := range row {
		if x > top {
			top = x
		}
	}
	sum := 0.0
	for _, x := range row {
		// Below e^-40 a term is less than the last bit of the sum. NaN is not
		// below: it must reach the result.
		if d := x - top; !(d < -40) {
			sum += math.Exp(float64(d))
		}
	}
	return float64(top) + math.Log(sum)
}
