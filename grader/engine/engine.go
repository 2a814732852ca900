// Package engine rates prompts with llama.cpp. It is the only part of the
// grader that links C++.
//
// What all prompts share is decoded once and stays in the cache under every
// sequence id of theirs. A batch holds whole prompts behind it; each carries the
// inner nodes of the scale's trie beside it, so that one pass gives the probability
// of every rating string. Signals take more rows of that pass, the output of a layer,
// and sequences that stand beside the prompt. Afterwards the batch's cells are freed.
package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strconv"

	"winnow/grader"
	"winnow/grader/journal"
	"winnow/grader/placement"
	"winnow/grader/prompt"
	"winnow/grader/rubric"
	"winnow/grader/signal"
	"winnow/llama"
)

// Defaults of Options.
const (
	DefaultCtx   = 4096 // tokens
	DefaultBatch = 1024 // tokens, on a CPU; with fewer, batches are less full
	SignalsBatch = 512  // tokens, where signals take a row of logits for nearly each of them, on any device
	MinBatch     = 16   // tokens; the least that Options takes
	AllLayers    = 999  // of any model
)

// CellStep is what llama.cpp rounds the used cells of a cache up to.
const CellStep = 256

// TooLong is what happens to a record that does not fit the context.
type TooLong string

// The ways to treat a record that is too long.
const (
	Skip     TooLong = "skip"     // it gets no rating
	Truncate TooLong = "truncate" // the middle of its response is left out, and its entry says so
)

// Options says which model rates by which rubrics, and how.
type Options struct {
	Model            string          // path of a GGUF file
	Rubrics          []rubric.Rubric // the criteria; several must have the same scale and the same text before the record's end
	Ctx              int             // tokens that one record's prompt may have; 0 for DefaultCtx or the model's training context if that is less
	Batch            int             // tokens of one batch; 0 for what Cells leaves, or DefaultBatch
	Cells            int             // cells of the cache that a batch and what all prompts share fill together; 0 if only Batch counts
	Lanes            int             // contexts that rate side by side; 0 for 1
	Threads          int             // of each context; 0 for all cores that the process may use, divided among the contexts
	GPULayers        int             // layers on GPUs, the output as one more; negative for as many as fit, 0 for none
	Devices          []string        // names of the GPUs that may be used, as GPUs gives them; nil for all
	Split            placement.Split // how several GPUs share the work
	TensorSplit      []float64       // how the layers are shared among Devices, as proportions; nil to go by free memory
	Matmul           string          // kernels of matrix products on a GPU: "int8", "cublas" or "cublas-f16"; "" to go by the GPU
	NoFlashAttention bool
	Deterministic    bool    // ratings depend on nothing but the record; see Capacity
	TooLong          TooLong // "" for Skip

	// Signals are computed beside ratings, which they do not change. Losses take rows
	// of logits on the host, a vocabulary of 4 bytes each for up to each token of a
	// batch: without Batch and Cells, batches have SignalsBatch tokens.
	Signals signal.Set `json:",omitempty"`
	// HiddenLayer is the layer behind which the hidden state is taken, counted from 1;
	// 0 for two thirds of the layers. The last one has none. The manifest counts from 0.
	HiddenLayer int `json:",omitempty"`

	// Place is the engine's part of a plan, which Place makes for one engine or
	// several. Without it, Open plans for itself.
	Place *placement.Child `json:",omitempty"`
}

// Engine is a model, its criteria and one context or more. Its methods but Close
// may be called concurrently; Rate waits for a free context.
type Engine struct {
	o        Options
	info     llama.Info
	model    *llama.Model
	borrowed bool            // the model is another engine's
	frames   []*prompt.Frame // one a criterion
	tok      *tokenizer
	prefix   []int32 // tokens before the first text of a record
	head     []part  // from there to the record's last text; fields are holes
	tail     *tail
	sides    sides
	layer    int // whose states are taken, from 0
	cells    int // of each context's cache
	manifest journal.Manifest
	all      []llama.SeqID
	sharing  []llama.SeqID // those of all that carry the prefix

	lanes []*lane
	free  chan *lane
}

// Open loads the model and prepares it for the rubric.
func Open(o Options) (*Engine, error) { return prepare(o, nil) }

// prepare takes a model that is loaded already, or loads it.
func prepare(o Options, model *llama.Model) (*Engine, error) {
	o.limitRows()
	if err := o.place(); err != nil {
		return nil, err
	}
	if o.Batch == 0 && o.Cells == 0 {
		o.Batch = DefaultBatch
	}
	if o.Lanes == 0 {
		o.Lanes = 1
	}
	if o.Threads == 0 {
		o.Threads = max(1, cores()/max(1, o.Lanes))
	}
	if o.TooLong == "" {
		o.TooLong = Skip
	}
	if o.Ctx < 0 || o.Batch < MinBatch && o.Cells == 0 || o.Cells < 0 || o.Threads < 1 || o.Lanes < 1 || o.TooLong != Skip && o.TooLong != Truncate {
		return nil, fmt.Errorf("context of %d tokens, batches of %d, %d contexts of %d threads, %q: want a context of 0 or more, batches of %d or more, 1 context and thread or more, skip or truncate", o.Ctx, o.Batch, o.Lanes, o.Threads, o.TooLong, MinBatch)
	}
	if len(o.Rubrics) == 0 {
		return nil, errors.New("no rubric to rate by")
	}
	if o.Deterministic && o.NoFlashAttention {
		return nil, errors.New("deterministic ratings need flash attention: without it a rating depends on what shares its batch")
	}
	e := &Engine{o: o, model: model, borrowed: model != nil}
	if err := e.open(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Engine) open() error {
	var err error
	if e.o.onGPU() && e.o.Matmul != "" {
		llama.LoadCUDA()
		if err := llama.SetMatmul(llama.Matmul(e.o.Matmul)); err != nil {
			return err
		}
	}
	if !e.borrowed {
		if e.model, err = llama.LoadModel(e.o.Model, e.o.modelOptions()); err != nil {
			return err
		}
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
	asks := prompt.Model{
		Template: template,
		BOS:      e.tok.special(e.model.Vocab().BOS()),
		EOS:      e.tok.special(e.model.Vocab().EOS()),
		Apply:    applyTemplate,
	}
	for _, r := range e.o.Rubrics {
		frame, err := prompt.NewFrame(r, asks)
		if err != nil {
			return fmt.Errorf("model %s: %w", e.o.Model, err)
		}
		e.frames = append(e.frames, frame)
	}
	for _, prepare := range []func() error{e.encodeFrames, func() error { return e.encodeSides(asks) }, e.chooseLayer} {
		if err := prepare(); err != nil {
			return fmt.Errorf("model %s: %w", e.o.Model, err)
		}
	}
	if e.o.Batch == 0 {
		e.o.Batch = batchWithin(e.o.Cells, len(e.prefix))
	}
	if err := e.describe(); err != nil {
		return err
	}
	if err := e.shareSeqs(); err != nil {
		return err
	}
	longest := e.o.Ctx
	if len(e.sides.list) > 0 {
		longest += len(e.prefix) // a side stands beside the prefix, not behind it
	}
	e.cells = roundUp(max(longest, len(e.prefix)+roundUp(e.o.Batch, rowsTogether)), CellStep)
	e.free = make(chan *lane, e.o.Lanes)
	for range e.o.Lanes {
		l, err := newLane(e)
		if err != nil {
			return err
		}
		e.lanes = append(e.lanes, l)
		e.free <- l
	}
	if err := e.tryHidden(); err != nil || !e.o.onGPU() {
		return err
	}
	return e.warmUp(context.Background())
}

func (e *Engine) describe() error {
	sum, err := e.model.SHA256()
	if err != nil {
		return err
	}
	scale := e.o.Rubrics[0].Scale
	e.manifest = journal.Manifest{
		Model:    journal.Model{Name: filepath.Base(e.o.Model), SHA256: sum, Format: e.info.Format},
		Scale:    journal.Scale{Strings: scale.Strings, Values: scale.Values},
		Template: journal.Template{Source: e.frames[0].Source(), SHA256: e.templateSHA256()},
		Runtime:  journal.Runtime{Engine: llama.Version(), Device: e.device()},
		Settings: map[string]string{
			"ctx_size":        strconv.Itoa(e.o.Ctx),
			"too_long":        string(e.o.TooLong),
			"flash_attention": strconv.FormatBool(!e.o.NoFlashAttention),
			"attention":       e.attention(),
		},
	}
	if e.o.onGPU() && e.o.Matmul != "" {
		e.manifest.Settings["kernels"] = e.o.Matmul // they round differently
	}
	for _, r := range e.o.Rubrics {
		e.manifest.Rubrics = append(e.manifest.Rubrics, journal.Rubric{Name: r.Name, SHA256: r.SHA256()})
	}
	e.manifest.Signals = e.o.Signals.Names()
	if e.hidden() {
		e.manifest.Hidden = &journal.Hidden{Layer: e.layer, Size: 2 * e.info.Embd}
	}
	return nil
}

// templateSHA256 is the hash of the frame, of several the hash of their hashes.
func (e *Engine) templateSHA256() string {
	if len(e.frames) == 1 {
		return e.frames[0].SHA256()
	}
	h := sha256.New()
	for _, f := range e.frames {
		h.Write([]byte(f.SHA256()))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// attention names whose attention computes: they round differently.
func (e *Engine) attention() string {
	if !e.o.NoFlashAttention && !e.o.onGPU() && llama.OwnAttention() {
		return "winnow 1"
	}
	return "ggml"
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
func (e *Engine) Note() string { return e.frames[0].Note() }

// PrefixTokens returns the number of tokens that all prompts share.
func (e *Engine) PrefixTokens() int { return len(e.prefix) }

// RatingTokens returns the number of tokens that rating costs for each record
// behind the record's last text: the words of each criterion and its scale.
func (e *Engine) RatingTokens() int { return len(e.tail.shared) + e.tail.size() }

// RatingRows returns the number of rows of logits that a record's rating takes.
func (e *Engine) RatingRows() int {
	n := 0
	for _, node := range e.tail.nodes {
		if len(node.reads) > 0 {
			n++
		}
	}
	return n
}

// Capacity implements grader.Engine. On a CPU with flash attention every row is
// computed by itself, so records may share a batch whatever is asked for; on a GPU
// kernels are chosen by the batch's size, and a deterministic rating is one of a
// record alone.
func (e *Engine) Capacity() grader.Capacity {
	c := grader.Capacity{Tokens: e.o.Batch, Most: e.cells - len(e.prefix), Prompts: maxBranches / e.seqs(), Lanes: e.o.Lanes}
	if e.o.Deterministic && e.o.onGPU() {
		c.Prompts = 1
	}
	return c
}

// Rate implements grader.Engine.
func (e *Engine) Rate(ctx context.Context, batch []*grader.Prompt, out []grader.Outcome) (w grader.Work, err error) {
	if room := e.Capacity().Prompts; len(batch) == 0 || len(batch) > room || len(out) != len(batch) {
		return w, fmt.Errorf("%d prompts in a batch and %d outcomes, want 1 to %d and as many", len(batch), len(out), room)
	}
	for _, p := range batch {
		if err := e.checkPrompt(p); err != nil {
			return w, err
		}
	}
	l, err := e.take(ctx)
	if err != nil {
		return w, err
	}
	defer func() { e.free <- l }()
	err = l.thread.Do(ctx, func() error {
		w, err = l.rate(batch, out)
		return err
	})
	return w, err
}

// take waits for a free lane.
func (e *Engine) take(ctx context.Context) (*lane, error) {
	select {
	case l := <-e.free:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close frees the contexts and the model. It may be called twice.
func (e *Engine) Close() error {
	var errs []error
	for _, l := range e.lanes {
		errs = append(errs, l.close())
	}
	if e.model != nil && !e.borrowed {
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

// batchWithin returns the batch that fills so many cells together with the shared
// prefix. Attention on a CPU goes through cells in steps of CellStep: a prefix that
// leaves too little takes another step.
func batchWithin(cells, prefix int) int {
	const least = 128
	n := cells - prefix
	for n < least {
		n += CellStep
	}
	return n
}

// cores is the number of cores that the process may use: the runtime knows of
// affinity and of a container's quota.
func cores() int { return runtime.GOMAXPROCS(0) }

func roundUp(n, step int) int { return (n + step - 1) / step * step }
