package llama

import (
	"strings"
	"testing"
)

func TestDefaultMatmul(t *testing.T) {
	for _, c := range []struct {
		capability int
		format     string
		batch      int
		want       Matmul
	}{
		{90, "Q4_K - Medium", 2048, MatmulCuBLAS},
		{90, "Q8_0", 4096, MatmulCuBLAS},
		{90, "Q8_0", 1024, MatmulInt8},
		{90, "F16", 4096, MatmulInt8},
		{90, "all F32", 4096, MatmulInt8},
		{89, "Q4_K - Medium", 4096, MatmulInt8},
		{120, "Q4_K - Medium", 4096, MatmulInt8},
		{0, "Q4_0", 512, MatmulInt8},
	} {
		if got, why := defaultMatmul(c.capability, c.format, c.batch); got != c.want || why == "" {
			t.Errorf("%d, %s, %d tokens: %s (%q), want %s", c.capability, c.format, c.batch, got, why, c.want)
		}
	}
	t.Setenv(matmulEnv, "cublas-f16")
	if m, why, err := ChooseMatmul(Device{Capability: 89}, "Q8_0", 64); m != MatmulCuBLASF16 || !strings.Contains(why, matmulEnv) || err != nil {
		t.Errorf("%s is not heard: %s, %q, %v", matmulEnv, m, why, err)
	}
	t.Setenv(matmulEnv, "fp4")
	if _, _, err := ChooseMatmul(Device{}, "Q8_0", 64); err == nil || !strings.Contains(err.Error(), matmulEnv) {
		t.Errorf("error %v, want one that names %s", err, matmulEnv)
	}
}
