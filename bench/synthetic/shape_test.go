package synthetic

import (
	"slices"
	"strings"
	"testing"
)

// TestShapes compares with what is published of the models: the numbers of
// parameters on their model cards, in millions.
func TestShapes(t *testing.T) {
	want := map[string]float64{"smollm2-135m": 134.5, "qwen2.5-0.5b": 494.0, "qwen2.5-1.5b": 1543.7, "qwen2.5-7b": 7615.6, "llama-3.1-8b": 8030.3}
	last := int64(0)
	for _, s := range Shapes() {
		if err := s.check(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		millions := float64(s.Params()) / 1e6
		if w, ok := want[s.Name]; !ok || millions < w-0.1 || millions > w+0.1 {
			t.Errorf("%s has %.1f million weights, want %.1f", s.Name, millions, w)
		}
		if s.Params() < last {
			t.Errorf("%s is smaller than the one before", s.Name)
		}
		last = s.Params()
		if f16, q8, q4 := s.Bytes("F16"), s.Bytes("q8_0"), s.Bytes("Q4_K_M"); f16 < 2*s.Params() || q8 < s.Params() || q4 < s.Params()/2 || !(f16 > q8 && q8 > q4) {
			t.Errorf("%s: %d, %d and %d bytes of %d weights", s.Name, f16, q8, q4, s.Params())
		}
		found, err := Find(strings.ToUpper(s.Name))
		if err != nil || found != s {
			t.Errorf("Find(%q): %+v, %v", s.Name, found, err)
		}
	}
	if len(Shapes()) != len(want) {
		t.Errorf("%d shapes, want %d", len(Shapes()), len(want))
	}
	if _, err := Find("gpt-5"); err == nil || !strings.Contains(err.Error(), `unknown shape "gpt-5", want one of smollm2-135m, qwen2.5-0.5b`) {
		t.Errorf("unknown shape: error %v", err)
	}
	if n := Shapes()[0].Bytes("Q9"); n != 0 {
		t.Errorf("unknown format: %d bytes", n)
	}
	if got, want := Formats(), []string{"F16", "Q8_0", "Q4_K_M"}; !slices.Equal(got, want) {
		t.Errorf("formats %q, want %q", got, want)
	}
}

func TestShapeErrors(t *testing.T) {
	for _, c := range []struct {
		change func(*Shape)
		want   string
	}{
		{func(s *Shape) { s.Layers = 0 }, "Layers is 0, want 1 to 512"},
		{func(s *Shape) { s.Layers = 513 }, "Layers is 513"},
		{func(s *Shape) { s.FF = 1<<20 + 32 }, "FF is 1048608"},
		{func(s *Shape) { s.Family = 9 }, "unknown family 9"},
		{func(s *Shape) { s.Vocab = 272 }, "Vocab is 272, want at least 273"},
		{func(s *Shape) { s.Embd = 570 }, "multiples of 32"},
		{func(s *Shape) { s.Heads = 10 }, "does not split into 10 heads"},
		{func(s *Shape) { s.Heads = 0 }, "Heads is 0"},
		{func(s *Shape) { s.HeadsKV = 2 }, "no multiple of HeadsKV 2"},
		{func(s *Shape) { s.RopeBase = 0 }, "RopeBase 0"},
	} {
		s := Shapes()[0]
		c.change(&s)
		if err := s.check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
		if s.Params() != 0 || s.Bytes("F16") != 0 {
			t.Errorf("%q: %d weights in %d bytes, want 0", c.want, s.Params(), s.Bytes("F16"))
		}
	}
}
