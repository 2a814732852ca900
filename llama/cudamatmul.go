package llama

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Matmul says what large products of a GPU with quantized weights go through. It
// changes speed and the last digits of ratings, nothing else.
type Matmul string

// The numbers that the library has for them are their places in matmuls.
const (
	MatmulInt8      Matmul = "int8"       // ggml's kernels on the quantized weights; activations are rounded to 8 bits
	MatmulCuBLAS    Matmul = "cublas"     // weights unpacked to F16, cuBLAS, sums in F32
	MatmulCuBLASF16 Matmul = "cublas-f16" // the same with sums in F16, as in ggml's own build for cuBLAS
)

var matmuls = []Matmul{MatmulInt8, MatmulCuBLAS, MatmulCuBLASF16} // in the order of llama/cuda/choose.h

const matmulEnv = "WINNOW_CUDA_MATMUL"

// check returns an error unless m is one of the choices.
func (m Matmul) check() error {
	if slices.Contains(matmuls, m) {
		return nil
	}
	return fmt.Errorf("there are no kernels %q: want int8, cublas or cublas-f16", string(m))
}

// SetMatmul chooses for all models and contexts of the process; products that
// run already finish as they began. Without the CUDA backend there is nothing to
// choose, and it returns nil for any known m.
func SetMatmul(m Matmul) error {
	if err := m.check(); err != nil {
		return err
	}
	cuda.mu.Lock()
	defer cuda.mu.Unlock()
	if cuda.setMatmul == nil {
		return nil
	}
	if code := cuda.setMatmul(int32(slices.Index(matmuls, m))); code != 0 {
		return fmt.Errorf("%s refuses the kernels %s (code %d): build it with %s", cuda.status.Path, m, code, makeCUDA)
	}
	return nil
}

// ChooseMatmul returns what $WINNOW_CUDA_MATMUL asks for, else what suits the
// device, and why. It does not set it. Format is that of the weights, such as
// "Q4_K - Medium" (Info.Format), batch the number of tokens in a batch.
func ChooseMatmul(d Device, format string, batch int) (m Matmul, why string, err error) {
	if set := Matmul(os.Getenv(matmulEnv)); set != "" {
		if err := set.check(); err != nil {
			return "", "", fmt.Errorf("%s: %w", matmulEnv, err)
		}
		return set, matmulEnv + " is set", nil
	}
	m, why = defaultMatmul(d.Capability, format, batch)
	return m, why, nil
}

// defaultMatmul is what is expected to be fastest without losing digits that a
// rating shows, by the card's compute capability times ten, the format of the
// weights and the tokens of a batch. These are expectations from how the kernels
// are made and from published figures, not measurements of this program:
//
//	card          weights     batch    kernels
//	9.0 (Hopper)  quantized   ≥ 2048   cublas   ggml's int8 kernels use the tensor cores' older instructions, cuBLAS the card's own; unpacking the weights is paid once a batch
//	9.0 (Hopper)  quantized   < 2048   int8     unpacking costs more than it gains
//	9.0 (Hopper)  F16, BF16   any      int8     cuBLAS computes these whatever is chosen, sums in F32
//	others        any         any      int8     ggml's kernels keep up with cuBLAS there
func defaultMatmul(capability int, format string, batch int) (m Matmul, why string) {
	const hopper, large = 90, 2048
	switch {
	case unquantized(format):
		return MatmulInt8, format + " weights are not quantized: cuBLAS computes them in any case"
	case capability == hopper && batch >= large:
		return MatmulCuBLAS, fmt.Sprintf("expected to be faster on compute capability 9.0 from %d tokens a batch, not measured yet", large)
	case capability == hopper:
		return MatmulInt8, fmt.Sprintf("expected to be faster below %d tokens a batch, not measured yet", large)
	}
	return MatmulInt8, "ggml's default; expected to be faster than cuBLAS on this card, not measured yet"
}

// unquantized reports whether a format stores weights as numbers of their own.
func unquantized(format string) bool {
	name, _, _ := strings.Cut(format, " ")
	return slices.Contains([]string{"F16", "BF16", "F32", "all"}, name) // "all F32" is llama.cpp's word
}
