package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"winnow/llama"
)

// FastFormats are the formats that Fastest tries: those with a fast path on some
// machine that keep nearly all of what a file quantized to four bits knows.
var FastFormats = []string{"F16", "BF16", "Q8_0"}

// FormatRate is the raw rate of a model in one format.
type FormatRate struct {
	Format string
	Rate   float64 // tokens per second, RawRate
}

// Fastest writes the model at in to out in whichever of FastFormats prefills
// fastest on this machine, and returns what was measured, the fastest first.
func Fastest(ctx context.Context, in, out string, threads int) (rates []FormatRate, err error) {
	dir, err := os.MkdirTemp(filepath.Dir(out), ".formats-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	best := 0
	for i, format := range FastFormats {
		path := filepath.Join(dir, format+".gguf")
		if err := llama.Quantize(in, path, format, threads); err != nil {
			return nil, err
		}
		rate, err := rateFile(ctx, path, threads)
		if err != nil {
			return nil, fmt.Errorf("measure %s: %w", format, err)
		}
		rates = append(rates, FormatRate{format, rate})
		if rate > rates[best].Rate {
			best = i
		}
	}
	if err := os.Rename(filepath.Join(dir, rates[best].Format+".gguf"), out); err != nil {
		return nil, err
	}
	rates[0], rates[best] = rates[best], rates[0]
	return rates, nil
}

func rateFile(ctx context.Context, path string, threads int) (rate float64, err error) {
	m, err := llama.LoadModel(path, llama.ModelOptions{GPULayers: -1})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	return RawRate(ctx, m, 512, threads, 3)
}
