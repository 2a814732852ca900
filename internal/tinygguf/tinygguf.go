// Package tinygguf writes tiny GGUF models for tests: real enough for llama.cpp
// to load, tokenize and decode, small enough to be made anew in every test.
//
// A model is a Llama with random weights. Equal options give equal bytes, on
// every machine. What it says is meaningless, but it says it in a shape that a
// grader can use: the next-token distribution depends on the text before it,
// and the tokens that ratings are made of are probable (see
// [Options.DigitBias]).
package tinygguf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"winnow/internal/gguf"
)

// Tokenizer is the kind of vocabulary that a model has.
type Tokenizer int

const (
	// BPE is a byte-level vocabulary with merges, as in GPT-2 and SmolLM2. Every
	// digit is a token of its own, and no beginning-of-sequence token is added.
	BPE Tokenizer = iota
	// SPM is a SentencePiece vocabulary with byte fallback, as in Llama 2: a
	// space is put before text, and <s> before the sequence. As there, plain
	// text "<s>" and "</s>" is merged to the control tokens of that name even
	// when special tokens are not parsed.
	SPM
)

// String returns "BPE" or "SPM".
func (t Tokenizer) String() string {
	switch t {
	case BPE:
		return "BPE"
	case SPM:
		return "SPM"
	}
	return fmt.Sprintf("Tokenizer(%d)", int(t))
}

const (
	// ChatML is the default chat template, in Jinja.
	ChatML = `{% for message in messages %}` +
		`{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}` +
		`{% endfor %}` +
		`{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

	// NoTemplate as [Options.Template] leaves the chat template out.
	NoTemplate = "none"

	// DefaultArch is the architecture of a model that can be loaded.
	DefaultArch = "llama"

	// DefaultDigitBias is the raise that makes on-scale ratings likely, but not
	// certain: most texts have an off-scale mass of 0.1 to 0.8.
	DefaultDigitBias = 6.0
)

// Options says what model to write. The zero value is a usable model.
type Options struct {
	Tokenizer Tokenizer
	Seed      uint64 // of the weights

	Layers  int // default 2
	Embd    int // width of the residual stream, default 64
	Heads   int // default 4; must divide Embd into heads of even width
	HeadsKV int // default 2; must divide Heads
	FF      int // width inside the feed-forward block, default 128
	Ctx     int // context length the model claims, default 4096

	// F16 stores the matrices as 16-bit instead of 32-bit floats.
	F16 bool

	// Template is the chat template: "" is [ChatML], [NoTemplate] leaves it out.
	Template string

	// Arch is the architecture written to the header, default [DefaultArch].
	// With any other name the file is for tests of refusal.
	Arch string

	// Name is the model's general.name, default "tiny-bpe" or "tiny-spm".
	Name string

	// DigitBias is roughly by how much the logits of "0" to "5" are raised over
	// those of other tokens. A space before a rating, and a point after a digit,
	// are raised with them; the digits 6 to 9 are not. 0 means
	// [DefaultDigitBias]; -10 leaves hardly any probability on ratings.
	DigitBias float64
}

// withDefaults returns o with every zero field filled in, or what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	if o.Tokenizer != BPE && o.Tokenizer != SPM {
		return o, fmt.Errorf("tinygguf: unknown tokenizer %d", int(o.Tokenizer))
	}
	for _, f := range []struct {
		name string
		v    *int
		def  int
	}{
		{"Layers", &o.Layers, 2},
		{"Embd", &o.Embd, 64},
		{"Heads", &o.Heads, 4},
		{"HeadsKV", &o.HeadsKV, 2},
		{"FF", &o.FF, 128},
		{"Ctx", &o.Ctx, 4096},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 1 || *f.v > math.MaxInt32 {
			return o, fmt.Errorf("tinygguf: %s is %d, want a positive 32-bit number", f.name, *f.v)
		}
	}
	switch {
	case o.Embd%(2*o.Heads) != 0:
		return o, fmt.Errorf("tinygguf: Embd %d does not split into %d heads of even width", o.Embd, o.Heads)
	case o.Heads%o.HeadsKV != 0:
		return o, fmt.Errorf("tinygguf: Heads %d is no multiple of HeadsKV %d", o.Heads, o.HeadsKV)
	case o.Embd < 8:
		return o, fmt.Errorf("tinygguf: Embd %d is too small, want 8 or more", o.Embd)
	case math.IsNaN(o.DigitBias) || math.IsInf(o.DigitBias, 0):
		return o, errors.New("tinygguf: DigitBias is not finite")
	}
	if o.Template == "" {
		o.Template = ChatML
	}
	if o.Arch == "" {
		o.Arch = DefaultArch
	}
	if o.Name == "" {
		o.Name = map[Tokenizer]string{BPE: "tiny-bpe", SPM: "tiny-spm"}[o.Tokenizer]
	}
	if o.DigitBias == 0 {
		o.DigitBias = DefaultDigitBias
	}
	return o, nil
}

// Write writes the model that o describes to w, as GGUF version 3.
func Write(w io.Writer, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	v := newVocab(o.Tokenizer)
	tensors := o.tensors(v)
	infos := make([]gguf.Tensor, len(tensors))
	for i, t := range tensors {
		infos[i] = t.Tensor
	}
	out := bufio.NewWriter(w)
	head, err := gguf.Header(o.metadata(v), infos)
	if err == nil {
		_, err = out.Write(head)
	}
	for _, t := range tensors {
		if err == nil {
			_, err = out.Write(t.data(o.Seed))
		}
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("tinygguf: writing model: %w", err)
	}
	return nil
}

// WriteFile writes the model that o describes to the file path, replacing it.
func WriteFile(path string, o Options) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("tinygguf: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("tinygguf: %w", cerr)
		}
	}()
	return Write(f, o)
}

// metadata lists the key-value pairs of the header, in the order of the file.
func (o Options) metadata(v *vocab) []gguf.Pair {
	fileType := uint32(0) // all F32
	if o.F16 {
		fileType = 1 // mostly F16
	}
	kv := []gguf.Pair{
		{Key: "general.architecture", Value: o.Arch},
		{Key: "general.name", Value: o.Name},
		{Key: "general.file_type", Value: fileType},
		{Key: o.Arch + ".vocab_size", Value: uint32(len(v.tokens))},
		{Key: o.Arch + ".context_length", Value: uint32(o.Ctx)},
		{Key: o.Arch + ".embedding_length", Value: uint32(o.Embd)},
		{Key: o.Arch + ".block_count", Value: uint32(o.Layers)},
		{Key: o.Arch + ".feed_forward_length", Value: uint32(o.FF)},
		{Key: o.Arch + ".attention.head_count", Value: uint32(o.Heads)},
		{Key: o.Arch + ".attention.head_count_kv", Value: uint32(o.HeadsKV)},
		{Key: o.Arch + ".attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
		{Key: o.Arch + ".rope.dimension_count", Value: uint32(o.Embd / o.Heads)},
		{Key: o.Arch + ".rope.freq_base", Value: float32(10000)},
	}
	kv = append(kv, v.metadata()...)
	if o.Template != NoTemplate {
		kv = append(kv, gguf.Pair{Key: "tokenizer.chat_template", Value: o.Template})
	}
	return kv
}
