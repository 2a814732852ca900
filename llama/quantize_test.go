package llama

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"winnow/internal/tinygguf"
)

// TestQuantize writes every format and loads what was written.
func TestQuantize(t *testing.T) {
	in := writeTiny(t, tinygguf.Options{Layers: 1, Embd: 256, FF: 256, F16: true})
	bytes := map[string]int64{}
	for _, format := range Formats() {
		out := filepath.Join(t.TempDir(), format+".gguf")
		if err := Quantize(in, out, strings.ToLower(format), 2); err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		m, err := LoadModel(out, ModelOptions{})
		if err != nil {
			t.Fatal(err)
		}
		closeAtEnd(t, m)
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		// Formats have longer names in models, such as "Q4_K - Medium".
		if short := strings.TrimSuffix(strings.TrimSuffix(format, "_M"), "_S"); !strings.HasPrefix(info.Format, short) && !strings.Contains(info.Format, "F32") {
			t.Errorf("%s: the model says that it is %q", format, info.Format)
		}
		row := decode(t, openContext(t, m, small), run{tokenize(t, m, "Hello world"), 0, []SeqID{0}})[0]
		for _, x := range row {
			if x != x {
				t.Errorf("%s: a logit is no number", format)
				break
			}
		}
		stat, err := os.Stat(out)
		if err != nil {
			t.Fatal(err)
		}
		bytes[format] = stat.Size()
	}
	if !(bytes["Q4_0"] < bytes["Q8_0"] && bytes["Q8_0"] < bytes["F16"] && bytes["F16"] < bytes["F32"]) {
		t.Errorf("sizes %v, want Q4_0 < Q8_0 < F16 < F32", bytes)
	}
}

func TestQuantizeErrors(t *testing.T) {
	in := writeTiny(t, tinygguf.Options{})
	dir := t.TempDir()
	for _, c := range []struct {
		name, in, out, format, want string
	}{
		{"format", in, filepath.Join(dir, "o"), "Q9", `unknown format "Q9", want one of BF16, F16,`},
		{"missing", filepath.Join(dir, "none"), filepath.Join(dir, "o"), "Q8_0", "none: no such file"},
		{"folder", dir, filepath.Join(dir, "o"), "Q8_0", "is not a file"},
		{"same", in, in, "Q8_0", "is input and output at once"},
		{"nowhere", in, filepath.Join(dir, "none", "o"), "Q8_0", "llama_model_quantize"},
	} {
		if err := Quantize(c.in, c.out, c.format, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	if err := Quantize(filepath.Join(dir, "none"), "o", "Q8_0", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v, want %v", err, fs.ErrNotExist)
	}
	if m, err := LoadModel(in, ModelOptions{}); err != nil {
		t.Errorf("the input was changed: %v", err)
	} else {
		closeAtEnd(t, m)
	}
}
