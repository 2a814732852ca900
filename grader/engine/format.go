package engine

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"winnow/llama"
)

// slowFormat reports whether batches of tokens meet no fast path in a weight
// format, and which format has one. The features are those that ggml was
// compiled for, by its names.
//
// What counts is ggml-cpu's sources. ggml_compute_forward_mul_mat (ggml-cpu.c)
// first tries llamafile_sgemm (llamafile/sgemm.cpp), which works on tiles and
// which, from AVX on, has cases for F32, F16, BF16, Q8_0, Q4_0, Q5_0 and IQ4_NL;
// without AVX512_BF16 those for F16 and BF16 convert to F32 and are still fast.
// Weights in the formats of ggml_repack_get_optimal_repack_type (repack.cpp,
// kernels in arch/x86/repack.cpp) are tiled otherwise: with AVX2 Q4_0, Q4_K and
// IQ4_NL, with AVX512 Q2_K. That needs REPACK, which the Makefile switches on.
// All others take the dot products of arch/x86/quants.c, one pair of rows at a
// time; VNNI makes these quicker, but does not tile them. amx/mmq.cpp is not
// among the module's sources for Go.
//
// bench/formats.sh measures them. With AVX512_BF16 grading ran at these shares of
// BF16's rate: Q4_0 0.94, IQ4_NL 0.88, F16 0.70, F32 0.65, Q8_0 0.44, Q4_1 and
// Q5_K 0.23. Only formats that are measured or common are judged, and only on x86.
func slowFormat(format string, features ...string) (better string, slow bool) {
	has := func(feature string) bool { return slices.Contains(features, feature) }
	if !has("AVX2") || !has("LLAMAFILE") {
		return "", false
	}
	name, _, _ := strings.Cut(format, " ") // "Q4_K - Medium"
	switch name {
	case "Q4_1", "Q5_1", "Q3_K", "Q5_K", "Q6_K", "IQ4_XS":
		slow = true
	case "Q4_K":
		slow = !has("REPACK")
	case "Q2_K":
		slow = !has("REPACK") || !has("AVX512")
	}
	if !slow {
		return "", false
	}
	if has("AVX512_BF16") {
		return "BF16", true
	}
	return "F16", true
}

// fallsBack reports whether most matrices of a model of that width cannot be in
// the format its file names, and are in one with a fast path: llama-quant.cpp
// writes Q5_0 for Q4_K, Q8_0 for Q6_K and IQ4_NL for the others here where rows
// are not whole blocks of 256 weights.
func fallsBack(format string, width int) bool {
	name, _, _ := strings.Cut(format, " ")
	return width%256 != 0 && slices.Contains([]string{"Q2_K", "Q3_K", "Q4_K", "Q6_K", "IQ4_XS"}, name)
}

// formatHint says in what the model's weights are slow on a CPU, or "".
func formatHint(info llama.Info, features map[string]string) string {
	var have []string
	for key, value := range features {
		if name, ok := strings.CutPrefix(key, "CPU."); ok && value == "1" {
			have = append(have, name)
		}
	}
	better, slow := slowFormat(info.Format, have...)
	if !slow || fallsBack(info.Format, info.Embd) {
		return ""
	}
	return fmt.Sprintf("the weights are %s, which has no fast path on this CPU: expect about half the speed of %s or less; `winnow models quantize IN --to fastest -o OUT` makes a faster, larger file", info.Format, better)
}

// warnSlowFormat warns where no layer is on a GPU and the weights are slow.
func (e *Engine) warnSlowFormat() {
	if e.device() != "CPU" {
		return
	}
	if hint := formatHint(e.info, llama.Features()); hint != "" {
		slog.Warn(hint, "model", e.o.Model)
	}
}
