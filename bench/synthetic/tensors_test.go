package synthetic

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	parser "github.com/gpustack/gguf-parser-go"

	"winnow/internal/gguf"
	"winnow/llama"
)

// listing writes tensors as the tables in testdata: a line for every part and
// type, with the layers that have it.
func listing(tensors []gguf.Tensor) string {
	layers := map[string]string{}
	for _, t := range tensors {
		part, layer := t.Name, ""
		if rest, ok := strings.CutPrefix(t.Name, "blk."); ok {
			layer, part, _ = strings.Cut(rest, ".")
			layer = " " + layer
		}
		layers[part+" "+t.Type.String()] += layer
	}
	var b strings.Builder
	for _, line := range slices.Sorted(maps.Keys(layers)) {
		fmt.Fprintln(&b, line+layers[line])
	}
	return b.String()
}

// TestQ4KM compares with tables of what llama.cpp's quantizer made of the real
// models: SmolLM2-135M-Instruct and Qwen2.5-Coder-0.5B-Instruct. The published
// file of the latter also stores the output's matrix, which is the one of the
// embeddings.
func TestQ4KM(t *testing.T) {
	for _, name := range []string{"smollm2-135m", "qwen2.5-0.5b"} {
		want, err := os.ReadFile(filepath.Join("testdata", name+".types"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		s.Tied = !strings.Contains(string(want), "\noutput.weight ")
		if got := listing(s.tensors(formats["Q4_K_M"])); got != string(want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// shrunk returns a shape with fewer and smaller layers and less vocabulary.
func shrunk(s Shape, layers, embd, ff int) Shape {
	s.Layers, s.Embd, s.FF, s.Heads, s.HeadsKV, s.Vocab, s.Ctx = layers, embd, ff, embd/32, embd/64, 1500, 2048
	return s
}

func writeShape(t testing.TB, s Shape, format string, o Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), s.Name+"."+format+".gguf")
	if err := Write(t.Context(), path, s, format, o); err != nil {
		t.Fatal(err)
	}
	return path
}

// parsed returns the tensors of a file by an independent parser, in the order of
// their names, numbers by value.
func parsed(t testing.TB, path string) []gguf.Tensor {
	t.Helper()
	f, err := parser.ParseGGUFFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []gguf.Tensor
	for _, ti := range f.TensorInfos {
		ten := gguf.Tensor{Name: ti.Name, Type: gguf.Type(ti.Type)}
		for _, d := range ti.Dimensions {
			ten.Shape = append(ten.Shape, int(d))
		}
		list = append(list, ten)
	}
	slices.SortFunc(list, func(a, b gguf.Tensor) int { return strings.Compare(sortable(a.Name), sortable(b.Name)) })
	return list
}

// sortable pads the layer's number.
func sortable(name string) string {
	parts := strings.Split(name, ".")
	if n, err := strconv.Atoi(parts[1]); err == nil {
		parts[1] = fmt.Sprintf("%04d", n)
	}
	return strings.Join(parts, ".")
}

// TestQuantizerAgrees has llama.cpp quantize synthetic F16 models of all depths
// and compares tensor for tensor with what is written directly.
func TestQuantizerAgrees(t *testing.T) {
	for _, s := range Shapes() {
		for _, rows := range []struct{ embd, ff int }{{64, 256}, {256, 96}} { // one of them falls back
			small := shrunk(s, s.Layers, rows.embd, rows.ff)
			half := writeShape(t, small, "F16", Options{Text: brief})
			for _, format := range []string{"Q8_0", "Q4_K_M"} {
				t.Run(fmt.Sprintf("%s-%d-%s", s.Name, rows.embd, format), func(t *testing.T) {
					theirs := filepath.Join(t.TempDir(), "theirs.gguf")
					if err := llama.Quantize(half, theirs, format, 1); err != nil {
						t.Fatal(err)
					}
					want, got := parsed(t, theirs), parsed(t, writeShape(t, small, format, Options{Text: brief}))
					if len(got) != len(want) {
						t.Fatalf("%d tensors, want %d", len(got), len(want))
					}
					for i := range want {
						if got[i].Name != want[i].Name || got[i].Type != want[i].Type || !slices.Equal(got[i].Shape, want[i].Shape) {
							t.Errorf("%+v, want %+v", got[i], want[i])
						}
					}
				})
			}
		}
	}
}
