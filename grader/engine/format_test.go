package engine

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"winnow/internal/tinygguf"
	"winnow/llama"
)

func TestSlowFormat(t *testing.T) {
	avx2 := []string{"AVX2", "FMA", "LLAMAFILE"}
	avx512 := append([]string{"AVX512", "AVX512_VNNI"}, avx2...)
	bf16 := append([]string{"AVX512_BF16"}, avx512...)
	repack := append([]string{"REPACK"}, avx2...)
	repack512 := append([]string{"REPACK"}, avx512...)
	for _, c := range []struct {
		formats  string
		features []string
		better   string // "" where the format is not slow
	}{
		{"F16,BF16,all F32,Q8_0,Q4_0,Q5_0,IQ4_NL - 4.5 bpw,IQ2_XXS - 2.0625 bpw,MXFP4 MoE,unknown,", avx2, ""},
		{"F16,BF16,all F32,Q8_0,Q4_0,Q5_0,IQ4_NL - 4.5 bpw", bf16, ""},
		{"Q4_1,Q5_1,Q2_K - Medium,Q3_K - Large,Q4_K - Medium,Q4_K - Small,Q5_K - Medium,Q6_K,IQ4_XS - 4.25 bpw,Q4_1 (guessed)", avx2, "F16"},
		{"Q4_1,Q5_1,Q2_K - Medium,Q3_K - Large,Q4_K - Medium,Q4_K - Small,Q5_K - Medium,Q6_K,IQ4_XS - 4.25 bpw", avx512, "F16"},
		{"Q4_1,Q5_1,Q2_K - Medium,Q3_K - Large,Q4_K - Medium,Q4_K - Small,Q5_K - Medium,Q6_K,IQ4_XS - 4.25 bpw", bf16, "BF16"},
		{"Q4_K - Medium,Q4_K - Small", repack, ""},
		{"Q2_K - Medium,Q4_1,Q6_K", repack, "F16"},
		{"Q2_K - Medium,Q2_K - Small,Q4_K - Small", repack512, ""},
		{"Q4_1,Q6_K", []string{"AVX", "LLAMAFILE"}, ""},
		{"Q4_1,Q6_K", []string{"AVX2"}, ""},
		{"Q4_1,Q6_K", []string{"NEON", "DOTPROD", "LLAMAFILE"}, ""},
		{"Q4_1,Q6_K", nil, ""},
	} {
		for format := range strings.SplitSeq(c.formats, ",") {
			if better, slow := slowFormat(format, c.features...); better != c.better || slow != (c.better != "") {
				t.Errorf("%q with %v: %q, %v, want %q", format, c.features, better, slow, c.better)
			}
		}
	}
}

func TestFormatHint(t *testing.T) {
	features := map[string]string{"CPU.AVX2": "1", "CPU.LLAMAFILE": "1", "CPU.AVX512_BF16": "0", "CPU.REPACK": "0", "CUDA.REPACK": "1"}
	for _, c := range []struct {
		format string
		width  int
		want   string
	}{
		{"Q4_1", 576, "the weights are Q4_1, which has no fast path on this CPU: expect about half the speed of F16 or less"},
		{"Q4_K - Medium", 1024, "the weights are Q4_K - Medium,"},
		{"Q4_K - Medium", 576, ""}, // most of it is Q5_0
		{"Q6_K", 576, ""},          // and Q8_0
		{"Q5_K - Small", 576, "the weights are Q5_K - Small,"},
		{"Q8_0", 1024, ""},
	} {
		got := formatHint(llama.Info{Format: c.format, Embd: c.width}, features)
		if !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s, width %d: %q, want %q", c.format, c.width, got, c.want)
		}
	}
}

// TestOpenWarns: the names of formats and features are those that the engine
// gives.
func TestOpenWarns(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	in := writeTiny(t, tinygguf.Options{})
	for format, slow := range map[string]bool{"Q4_1": true, "F16": false} {
		path := filepath.Join(t.TempDir(), format+".gguf")
		if err := llama.Quantize(in, path, format, 1); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
		e, err := Open(Options{Model: path, Rubrics: only(load(t, "")), Threads: 1})
		slog.SetDefault(before)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		want := slow && runtime.GOARCH == "amd64" && llama.Features()["CPU.AVX2"] == "1"
		if got := strings.Contains(log.String(), "no fast path"); got != want {
			t.Errorf("%s: warned %v, want %v:\n%s", format, got, want, log.String())
		}
	}
}
