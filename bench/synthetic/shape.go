// Package synthetic writes models of real shapes with random weights, to measure
// throughput where the real weights cannot be had. Every matrix has the size and
// the type that it has in the real model's file, so a pass costs the same work
// and memory traffic. Texts are tokenized into about as many tokens. What such a
// model answers is noise.
package synthetic

import (
	"fmt"
	"slices"
	"strings"
)

// Shape says how large the parts of a model are.
type Shape struct {
	Name     string // as Find takes it, such as "qwen2.5-7b"
	Family   Family
	Vocab    int // tokens
	Ctx      int // context length that the header claims, in tokens
	Layers   int
	Embd     int // width of the residual stream
	FF       int // width inside the feed-forward block
	Heads    int
	HeadsKV  int
	RopeBase float32
	RMSEps   float32
	Tied     bool // the output uses the matrix of the token embeddings
}

// Shapes returns the shapes of real models, the smallest first. The numbers are
// those of the models' published config.json.
func Shapes() []Shape {
	return []Shape{
		{"smollm2-135m", SmolLM, 49152, 8192, 30, 576, 1536, 9, 3, 1e5, 1e-5, true},
		{"qwen2.5-0.5b", Qwen2, 151936, 32768, 24, 896, 4864, 14, 2, 1e6, 1e-6, true},
		{"qwen2.5-1.5b", Qwen2, 151936, 32768, 28, 1536, 8960, 12, 2, 1e6, 1e-6, true},
		{"qwen2.5-7b", Qwen2, 152064, 32768, 28, 3584, 18944, 28, 4, 1e6, 1e-6, false},
		{"llama-3.1-8b", Llama3, 128256, 131072, 32, 4096, 14336, 32, 8, 5e5, 1e-5, false},
	}
}

// Find returns the shape of that name, in whatever case.
func Find(name string) (Shape, error) {
	var names []string
	for _, s := range Shapes() {
		if strings.EqualFold(s.Name, name) {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Shape{}, fmt.Errorf("unknown shape %q, want one of %s", name, strings.Join(names, ", "))
}

// Params returns the number of weights, 0 for a shape that Write refuses.
func (s Shape) Params() int64 {
	if s.check() != nil {
		return 0
	}
	n := int64(0)
	for _, t := range s.tensors(formats["F16"]) {
		n += t.Count()
	}
	return n
}

// Bytes returns the size of the weights in a format, 0 for a format that is not
// among Formats or a shape that Write refuses. The file is a few megabytes
// larger, for its vocabulary.
func (s Shape) Bytes(format string) int64 {
	f, ok := formats[strings.ToUpper(format)]
	if !ok || s.check() != nil {
		return 0
	}
	n := int64(0)
	for _, t := range s.tensors(f) {
		n += t.Size()
	}
	return n
}

// Limits of a shape: llama.cpp has no room for more layers, and no product of
// sizes overflows.
const (
	maxLayers = 512
	maxSize   = 1 << 20
	rowUnit   = 32 // every format can store rows of a multiple of this
)

// check returns what is wrong with a shape that a caller made.
func (s Shape) check() error {
	for _, f := range []struct {
		name   string
		v, max int
	}{
		{"Vocab", s.Vocab, maxSize},
		{"Ctx", s.Ctx, maxSize},
		{"Layers", s.Layers, maxLayers},
		{"Embd", s.Embd, maxSize},
		{"FF", s.FF, maxSize},
		{"Heads", s.Heads, maxSize},
		{"HeadsKV", s.HeadsKV, maxSize},
	} {
		if f.v < 1 || f.v > f.max {
			return fmt.Errorf("%s is %d, want 1 to %d", f.name, f.v, f.max)
		}
	}
	least := leastTokens(s.Family)
	switch {
	case s.Family.spec() == nil:
		return fmt.Errorf("unknown family %d", s.Family)
	case s.Vocab < least:
		return fmt.Errorf("size of Vocab is %d, want at least %d: one token a byte and the special ones", s.Vocab, least)
	case s.Embd%rowUnit != 0 || s.FF%rowUnit != 0:
		return fmt.Errorf("widths Embd %d and FF %d must be multiples of %d", s.Embd, s.FF, rowUnit)
	case s.Embd%(2*s.Heads) != 0:
		return fmt.Errorf("width Embd %d does not split into %d heads of even width", s.Embd, s.Heads)
	case s.Heads%s.HeadsKV != 0:
		return fmt.Errorf("number of Heads, %d, is no multiple of HeadsKV %d", s.Heads, s.HeadsKV)
	case !(s.RopeBase > 0) || !(s.RMSEps > 0):
		return fmt.Errorf("numbers RopeBase %v and RMSEps %v must be above 0", s.RopeBase, s.RMSEps)
	}
	return nil
}

// headWidth returns the width of an attention head.
func (s Shape) headWidth() int { return s.Embd / s.Heads }

// Formats lists the formats that Write writes.
func Formats() []string {
	var names []string
	for name := range formats {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return int(formats[a].file) - int(formats[b].file) })
	return names
}
