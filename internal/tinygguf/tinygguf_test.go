package tinygguf

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	parser "github.com/gpustack/gguf-parser-go"

	"winnow/internal/gguf"
)

func write(t *testing.T, o Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, o); err != nil {
		t.Fatalf("Write(%+v): %v", o, err)
	}
	return b.Bytes()
}

// TestBytes pins the default models: other tests hold ratings that they give.
func TestBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		sum  string
	}{
		{"BPE", Options{}, "2a0bd389f53e88d338ecef3d7510b3a10c9d250192efba1240c5fae139e73c0d"},
		{"SPM", Options{Tokenizer: SPM}, "b0e22ea29cc85f4d4993ac4690232fe9b7ee0185cffea05b9076b94cc0b884bd"},
		{"F16", Options{F16: true}, "d57b046cc63a019060ffed4dc526f84e4ea9581e5d62bbe9005ecf2e1502bbbd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := write(t, c.o)
			if len(b) > 600_000 {
				t.Errorf("%d bytes, want at most 600000", len(b))
			}
			sum := sha256.Sum256(b)
			if got := hex.EncodeToString(sum[:]); got != c.sum {
				t.Errorf("SHA-256 %s, want %s", got, c.sum)
			}
		})
	}
}

// TestParse reads models back with an independent GGUF parser.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		name                   string
		o                      Options
		layers, embd, ctx      int
		heads, headsKV, ff     int
		model, arch, modelName string
		template               string
	}{
		{"BPE", Options{}, 2, 64, 4096, 4, 2, 128, "gpt2", "llama", "tiny-bpe", ChatML},
		{"SPM", Options{Tokenizer: SPM}, 2, 64, 4096, 4, 2, 128, "llama", "llama", "tiny-spm", ChatML},
		{"other", Options{
			F16: true, Layers: 3, Embd: 96, Heads: 6, HeadsKV: 3, FF: 160, Ctx: 512,
			Template: "{{ messages }}", Arch: "nosuch", Name: "n",
		}, 3, 96, 512, 6, 3, 160, "gpt2", "nosuch", "n", "{{ messages }}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.gguf")
			if err := WriteFile(path, c.o); err != nil {
				t.Fatal(err)
			}
			f, err := parser.ParseGGUFFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if want := 3 + 9*c.layers; len(f.TensorInfos) != want {
				t.Errorf("%d tensors, want %d", len(f.TensorInfos), want)
			}
			tok := f.Tokenizer()
			tokens := c.o.Tokenizer.Tokens()
			if tok.Model != c.model || int(tok.TokensLength) != len(tokens) {
				t.Errorf("tokenizer %s with %d tokens, want %s with %d", tok.Model, tok.TokensLength, c.model, len(tokens))
			}
			if want := len(newVocab(c.o.Tokenizer).merges); int(tok.MergesLength) != want {
				t.Errorf("%d merges, want %d", tok.MergesLength, want)
			}

			kv := func(key string) any {
				v, ok := f.Header.MetadataKV.Get(key)
				if !ok {
					t.Errorf("key %s is missing", key)
				}
				return v.Value
			}
			for key, want := range map[string]any{
				"general.architecture":              c.arch,
				"general.name":                      c.modelName,
				"tokenizer.chat_template":           c.template,
				c.arch + ".vocab_size":              uint32(len(tokens)),
				c.arch + ".context_length":          uint32(c.ctx),
				c.arch + ".embedding_length":        uint32(c.embd),
				c.arch + ".block_count":             uint32(c.layers),
				c.arch + ".feed_forward_length":     uint32(c.ff),
				c.arch + ".attention.head_count":    uint32(c.heads),
				c.arch + ".attention.head_count_kv": uint32(c.headsKV),
				c.arch + ".rope.dimension_count":    uint32(c.embd / c.heads),
			} {
				if got := kv(key); got != want {
					t.Errorf("%s is %v, want %v", key, got, want)
				}
			}

			// The data: aligned, without gaps, to the end of the file.
			end := f.TensorDataStartOffset
			for _, ti := range f.TensorInfos {
				if got := f.TensorDataStartOffset + int64(ti.Offset); got != end || got%gguf.Alignment != 0 {
					t.Errorf("%s starts at %d, want %d, a multiple of %d", ti.Name, got, end, gguf.Alignment)
				}
				if wantHalf := c.o.F16 && ti.NDimensions == 2; (ti.Type == parser.GGMLTypeF16) != wantHalf {
					t.Errorf("%s is %v", ti.Name, ti.Type)
				}
				end = gguf.Aligned(end + int64(ti.Bytes()))
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(b)) != end {
				t.Errorf("the file has %d bytes, want %d", len(b), end)
			}
			// dimOne of the first token, and the first weight of the last tensor but one.
			first := b[f.TensorDataStartOffset:]
			got := math.Float32frombits(binary.LittleEndian.Uint32(first))
			want := float32(flag)
			if c.o.F16 {
				got, want = float32(binary.LittleEndian.Uint16(first)), float32(gguf.Half(flag))
			}
			if got != want {
				t.Errorf("the first weight is %v, want %v", got, want)
			}
			norm := f.TensorInfos[len(f.TensorInfos)-2]
			at := f.TensorDataStartOffset + int64(norm.Offset)
			if got := math.Float32frombits(binary.LittleEndian.Uint32(b[at:])); norm.Name != "output_norm.weight" || got != 1 {
				t.Errorf("%s starts with %v, want output_norm.weight with 1", norm.Name, got)
			}
		})
	}
}

func TestNoTemplate(t *testing.T) {
	if !bytes.Contains(write(t, Options{}), []byte("tokenizer.chat_template")) {
		t.Error("the default model has no chat template")
	}
	if bytes.Contains(write(t, Options{Template: NoTemplate}), []byte("tokenizer.chat_template")) {
		t.Error("NoTemplate: there is a chat template")
	}
}

// TestSeed checks that the seed decides every random weight and nothing else.
func TestSeed(t *testing.T) {
	a, b := write(t, Options{}), write(t, Options{Seed: 1})
	if len(a) != len(b) {
		t.Fatalf("%d and %d bytes", len(a), len(b))
	}
	v := newVocab(BPE)
	o, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	data := int64(0)
	for _, ten := range o.tensors(v) {
		data += gguf.Aligned(ten.Size())
		x, y := ten.weights(0), ten.weights(1)
		same := 0
		for i := range x {
			if x[i] == y[i] {
				same++
			}
		}
		// Fixed dimensions and the rows of space and point are the same.
		if random := ten.std != 0; random && same > len(x)/10 || !random && same != len(x) {
			t.Errorf("%s: %d of %d weights are the same", ten.Name, same, len(x))
		}
	}
	if head := int64(len(a)) - data; !bytes.Equal(a[:head], b[:head]) {
		t.Error("the headers differ")
	}
}

// TestNormal checks mean and deviation of the weights against their error.
func TestNormal(t *testing.T) {
	r := splitmix{42}
	const n = 100_000
	var sum, squares float64
	for range n {
		x := r.normal()
		sum += x
		squares += x * x
	}
	if mean := sum / n; !(math.Abs(mean) < 5/math.Sqrt(n)) {
		t.Errorf("mean %v", mean)
	}
	if v := squares / n; !(math.Abs(v-1) < 5*math.Sqrt(2.0/n)) {
		t.Errorf("variance %v", v)
	}
}

func TestOptionErrors(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Tokenizer: 7}, "unknown tokenizer 7"},
		{Options{Layers: -1}, "Layers is -1"},
		{Options{Embd: 66}, "Embd 66 does not split into 4 heads"},
		{Options{Embd: 12}, "Embd 12 does not split into 4 heads"},
		{Options{Embd: 4, Heads: 1, HeadsKV: 1}, "Embd 4 is too small"},
		{Options{HeadsKV: 3}, "Heads 4 is no multiple of HeadsKV 3"},
		{Options{DigitBias: math.NaN()}, "DigitBias is not finite"},
	} {
		var b bytes.Buffer
		err := Write(&b, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Write(%+v): error %v, want one with %q", c.o, err, c.want)
		}
		if b.Len() != 0 {
			t.Errorf("Write(%+v) wrote %d bytes", c.o, b.Len())
		}
	}
}

// fullDisk takes n bytes.
type fullDisk struct{ n int }

var errFull = errors.New("disk full")

func (d *fullDisk) Write(b []byte) (int, error) {
	if len(b) > d.n {
		n := d.n
		d.n = 0
		return n, errFull
	}
	d.n -= len(b)
	return len(b), nil
}

func TestWriteErrors(t *testing.T) {
	whole := len(write(t, Options{}))
	for _, n := range []int{0, 10, 10_000, whole - 1} {
		if err := Write(&fullDisk{n}, Options{}); !errors.Is(err, errFull) {
			t.Errorf("%d bytes free: error %v, want %v", n, err, errFull)
		}
	}
	if err := Write(&fullDisk{whole}, Options{}); err != nil {
		t.Errorf("just enough room: %v", err)
	}
	err := WriteFile(filepath.Join(t.TempDir(), "none", "m.gguf"), Options{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such folder: error %v", err)
	}
}
