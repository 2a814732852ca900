package placement

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const gibi = 1 << 30

// shape makes a model of equal layers with so many bytes a weight.
func shape(layers, embd, ff, heads, kvHeads, vocab int, bytesPerWeight float64) *Model {
	d := embd / heads
	layer := embd*(heads+2*kvHeads)*d + heads*d*embd + 3*embd*ff
	m := &Model{Vocab: vocab, Embd: embd, FeedForward: ff, Heads: heads, Attention: (heads + 2*kvHeads) * d, CtxTrain: 32768, OutputBytes: uint64(float64(embd*vocab) * bytesPerWeight)}
	for range layers {
		m.LayerBytes = append(m.LayerBytes, uint64(float64(layer)*bytesPerWeight))
		m.CellBytes = append(m.CellBytes, uint64(2*kvHeads*d*halfBytes))
	}
	if bytesPerWeight < 2 {
		m.Largest = uint64(embd * vocab)
	}
	return m
}

func llama8B() *Model { return shape(32, 4096, 14336, 32, 8, 128256, 2) }
func qwenHalfB() *Model {
	return shape(24, 896, 4864, 14, 2, 151936, 2)
}

// cards makes GPUs with so many GiB, all of them free.
func cards(gib ...float64) []Device {
	var list []Device
	for i, g := range gib {
		list = append(list, Device{Name: "CUDA" + string(rune('0'+i)), Description: "Card", Index: i, Capability: 89, Total: uint64(g * gibi), Free: uint64(g * gibi)})
	}
	return list
}

func TestMake(t *testing.T) {
	auto := Settings{GPULayers: -1, Cores: 16}
	with := func(change func(*Settings)) Settings {
		s := auto
		change(&s)
		return s
	}
	busy := cards(80, 80)
	busy[1].Free = 18 * gibi
	for _, c := range []struct {
		name    string
		model   *Model
		gpus    []Device
		s       Settings
		layers  [][]int // of each child's shares
		batch   int
		lanes   int
		warning string
	}{
		{"no GPU", llama8B(), nil, auto, [][]int{nil}, 0, 0, ""},
		{"none wanted", llama8B(), cards(80), with(func(s *Settings) { s.GPULayers = 0 }), [][]int{nil}, 0, 0, ""},
		{"one large", llama8B(), cards(80), auto, [][]int{{33}}, 2048, 2, ""},
		{"a small model", qwenHalfB(), cards(80), auto, [][]int{{25}}, 1024, 2, ""},
		{"a consumer card", llama8B(), cards(24), auto, [][]int{{33}}, 1024, 2, ""},
		{"a model a GPU", llama8B(), cards(80, 80, 80), auto, [][]int{{33}, {33}, {33}}, 2048, 2, ""},
		{"one of two has room", llama8B(), cards(80, 4), auto, [][]int{{33}}, 1024, 2, ""},
		{"fewer contexts use both", llama8B(), busy, auto, [][]int{{33}, {33}}, 2048, 1, ""},
		{"split", llama8B(), cards(12, 12), auto, [][]int{{17, 16}}, 1024, 2, ""},
		{"split by wish", llama8B(), cards(80, 80), with(func(s *Settings) { s.Split = ByLayer }), [][]int{{17, 16}}, 2048, 2, ""},
		{"split as asked", llama8B(), cards(80, 80), with(func(s *Settings) { s.Proportions = []float64{3, 1} }), [][]int{{25, 8}}, 2048, 2, ""},
		{"all to the second", llama8B(), cards(80, 80), with(func(s *Settings) { s.Proportions = []float64{0, 1} }), [][]int{{33}}, 2048, 2, ""},
		{"partly", llama8B(), cards(12), auto, [][]int{{17}}, 4096, 1, "17 of 33 layers fit CUDA0: the other 16 stay"},
		{"partly over two", llama8B(), cards(6, 6), auto, [][]int{{2, 2}}, 4096, 1, "4 of 33 layers fit CUDA0, CUDA1"},
		{"nothing fits", llama8B(), cards(1.5), auto, [][]int{nil}, 0, 0, "not one layer"},
		{"some asked for", llama8B(), cards(80), with(func(s *Settings) { s.GPULayers = 10 }), [][]int{{10}}, 2048, 2, ""},
		{"more asked for than there are", llama8B(), cards(80), with(func(s *Settings) { s.GPULayers = 999 }), [][]int{{33}}, 2048, 2, ""},
		{"batch and contexts asked for", llama8B(), cards(80), with(func(s *Settings) { s.Batch, s.Contexts = 4096, 3 }), [][]int{{33}}, 4096, 3, ""},
	} {
		p, err := Make(c.model, c.gpus, c.s)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var layers [][]int
		for _, child := range p.Children {
			var list []int
			for _, s := range child.Shares {
				list = append(list, s.Layers)
			}
			layers = append(layers, list)
		}
		if !slices.EqualFunc(layers, c.layers, slices.Equal) || p.Batch != c.batch || p.Contexts != c.lanes {
			t.Errorf("%s: layers %v, -ub %d, %d contexts, want %v, %d, %d\n%v", c.name, layers, p.Batch, p.Contexts, c.layers, c.batch, c.lanes, p)
		}
		if warnings := strings.Join(p.Warnings, "\n"); c.warning == "" && warnings != "" || !strings.Contains(warnings, c.warning) {
			t.Errorf("%s: warnings %q, want %q", c.name, warnings, c.warning)
		}
	}
}

// What was asked for and does not fit is refused, with what would fit.
func TestNoRoom(t *testing.T) {
	for _, c := range []struct {
		name string
		gpus []Device
		s    Settings
		want []string
	}{
		{"layers", cards(12), Settings{GPULayers: 99}, []string{"-ub 512 --contexts 1 -ngl all does not fit CUDA0 (Card): it needs 15.8 GiB", "12.0 GiB are free", "-ngl 22 needs 11.9 GiB"}},
		{"batch", cards(20), Settings{GPULayers: -1, Batch: 16384}, []string{"-ub 16384 --contexts 1 -ngl all does not fit", "-ub 4096 --contexts 1 -ngl all needs 18.0 GiB", "of the 20.0 GiB that CUDA0 has free"}},
		{"contexts", cards(20), Settings{GPULayers: -1, Contexts: 40}, []string{"--contexts 40", "-ub 1024 --contexts 4 -ngl all needs 19.5 GiB"}},
		{"nothing", cards(1), Settings{GPULayers: 1}, []string{"no setting fits", "-ngl 0"}},
		{"proportions", cards(80, 4), Settings{GPULayers: -1, Proportions: []float64{1, 1}}, []string{"-ngl all does not fit CUDA0", "-ngl 32 needs"}},
	} {
		_, err := Make(llama8B(), c.gpus, c.s)
		var no *NoRoomError
		if !errors.As(err, &no) {
			t.Errorf("%s: error %v, want that there is no room", c.name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q, want %q in it", c.name, err, want)
			}
		}
	}
	for _, proportions := range [][]float64{{1}, {0, 0}, {-1, 2}} {
		if _, err := Make(llama8B(), cards(80, 80), Settings{GPULayers: -1, Proportions: proportions}); err == nil || errors.As(err, new(*NoRoomError)) {
			t.Errorf("proportions %v: error %v", proportions, err)
		}
	}
}

// Whatever is asked for: a plan fits, gives each layer one place, and keeps to
// what was asked; a refusal is one of something that was asked for.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		heads := rapid.IntRange(1, 4).Draw(t, "heads") * 4
		m := shape(rapid.IntRange(1, 60).Draw(t, "layers"), heads*64, rapid.IntRange(1, 200).Draw(t, "ff")*128, heads, 4, rapid.IntRange(1, 2000).Draw(t, "vocab")*128, rapid.SampledFrom([]float64{0.6, 2, 4}).Draw(t, "bytes"))
		var free []float64
		for range rapid.IntRange(1, 4).Draw(t, "GPUs") {
			free = append(free, rapid.Float64Range(0, 30).Draw(t, "GiB"))
		}
		gpus := cards(free...)
		s := Settings{
			GPULayers: rapid.SampledFrom([]int{-1, 1, 7, 999}).Draw(t, "ngl"),
			Split:     rapid.SampledFrom([]Split{Whole, ByLayer, NoSplit}).Draw(t, "split"),
			Batch:     rapid.SampledFrom([]int{0, 64, 512, 4096}).Draw(t, "batch"),
			Contexts:  rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "contexts"),
			Threads:   rapid.SampledFrom([]int{0, 3}).Draw(t, "threads"),
			Kernels:   rapid.SampledFrom([]Kernels{Auto, Int8, CuBLAS}).Draw(t, "kernels"),
			Cores:     rapid.IntRange(1, 64).Draw(t, "cores"),
			NoFlash:   rapid.Bool().Draw(t, "no flash"),
		}
		p, err := Make(m, gpus, s)
		if err != nil {
			if !errors.As(err, new(*NoRoomError)) || s.GPULayers < 0 && s.Batch == 0 && s.Contexts == 0 {
				t.Fatalf("nothing was asked for, and yet: %v", err)
			}
			return
		}
		checkPlan(t, m, gpus, s, p)
		if s.GPULayers > 0 || s.Batch > 0 || s.Contexts > 0 {
			return
		}
		// With more memory, no token is copied more of.
		for i := range gpus {
			gpus[i].Free += gibi
		}
		more, err := Make(m, gpus, s)
		if err != nil {
			t.Fatalf("with more memory: %v", err)
		}
		if copied(m, more) > copied(m, p) {
			t.Fatalf("with more memory %g bytes a token are copied, with less %g", copied(m, more), copied(m, p))
		}
	})
}

// copied is what is copied to a GPU for each token, in bytes.
func copied(m *Model, p *Plan) float64 {
	host := m.Weights()
	for _, s := range p.Children[0].Shares {
		host -= s.Need.Weights
	}
	return float64(host) / float64(max(1, p.Batch))
}

func checkPlan(t *rapid.T, m *Model, gpus []Device, s Settings, p *Plan) {
	if len(p.Children) == 0 {
		t.Fatal("no process")
	}
	seen := map[string]bool{}
	for _, c := range p.Children {
		if len(c.Shares) == 0 {
			if len(p.Children) > 1 || len(p.Warnings) == 0 || c.GPULayers != 0 || p.Batch != 0 {
				t.Fatalf("a plan for the CPU: %+v", p)
			}
			return
		}
		n := 0
		for _, share := range c.Shares {
			if share.Layers < 1 || share.Need.Total() > share.Device.Free || !slices.Contains(gpus, share.Device) || seen[share.Device.Name] {
				t.Fatalf("share %+v", share)
			}
			seen[share.Device.Name] = true
			n += share.Layers
		}
		if n != c.GPULayers || n > m.Layers() || s.GPULayers > 0 && n != min(s.GPULayers, m.Layers()) || c.Threads < 1 || s.Threads > 0 && c.Threads != s.Threads {
			t.Fatalf("process %+v for %+v", c, s)
		}
		if len(c.Shares) > 1 && (s.Split == NoSplit || len(p.Children) > 1) || s.Split == ByLayer && len(p.Children) > 1 {
			t.Fatalf("split %q: %v", s.Split, p)
		}
		if c.GPULayers != p.Children[0].GPULayers || (c.GPULayers < m.Layers() && s.GPULayers < 0) != (len(p.Warnings) > 0) {
			t.Fatalf("%d of %d layers, warnings %q", c.GPULayers, m.Layers(), p.Warnings)
		}
	}
	if p.Batch < 1 || p.Contexts < 1 || s.Batch > 0 && p.Batch != s.Batch || s.Contexts > 0 && p.Contexts != s.Contexts {
		t.Fatalf("-ub %d, %d contexts for %+v", p.Batch, p.Contexts, s)
	}
	if text := p.String(); !strings.Contains(text, p.Children[0].Shares[0].Device.Name) {
		t.Fatalf("the table says %q", text)
	}
}

// TestBeside holds that sequences beside the prompt make the cache larger by the prefix.
func TestBeside(t *testing.T) {
	const prefix = 4 * cellStep
	caches := make([]uint64, 2)
	for i, beside := range []bool{false, true} {
		p, err := Make(llama8B(), cards(80), Settings{GPULayers: -1, Batch: 512, Contexts: 1, Ctx: 4096, Prefix: prefix, Beside: beside})
		if err != nil {
			t.Fatal(err)
		}
		caches[i] = p.Children[0].Shares[0].Need.Cache
	}
	m := llama8B()
	want := uint64(len(m.LayerBytes)) * prefix * m.CellBytes[0]
	if got := caches[1] - caches[0]; got != want {
		t.Errorf("%d bytes of cache more, want %d", got, want)
	}
}
