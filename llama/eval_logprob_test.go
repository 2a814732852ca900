package llama

import (
	"errors"
	"math"
	"os"
	"testing"

	"winnow/internal/tinygguf"
	"winnow/kernels"
)

// logProbs computes log-probabilities of rows that the hook sees.
type logProbs func(t *testing.T, o OutputRows, s kernels.LogProbShape, q kernels.LogProbQuery, out *kernels.LogProbs) error

func hostLogProbs(t *testing.T, o OutputRows, s kernels.LogProbShape, q kernels.LogProbQuery, out *kernels.LogProbs) error {
	return kernels.LogProb(t.Context(), nil, o.Logits(), s, q, out)
}

// deviceLogProbs reads the rows in the memory of the GPU that computed them.
func deviceLogProbs() logProbs {
	var device *kernels.Device
	return func(t *testing.T, o OutputRows, s kernels.LogProbShape, q kernels.LogProbQuery, out *kernels.LogProbs) error {
		ordinal, ok := o.CUDADevice()
		if !ok {
			return errors.New("the rows are not in a GPU's memory")
		}
		if device == nil {
			d, err := kernels.Open(ordinal)
			if err != nil {
				return err
			}
			device = d
			closeAtEnd(t, d)
		}
		return kernels.LogProbDevice(t.Context(), device, ordinal, o.Pointer, s, q, out)
	}
}

// TestOutputLogProb takes log-probabilities and ratings of rows where they are computed,
// as a perplexity does, and compares them with what grading makes of the copied rows.
// With WINNOW_TEST_DEVICE=gpu the model is on the GPU, and so are the rows.
func TestOutputLogProb(t *testing.T) {
	rows := logProbs(hostLogProbs)
	o := ModelOptions{}
	if os.Getenv("WINNOW_TEST_DEVICE") == "gpu" {
		rows, o.GPULayers = deviceLogProbs(), -1
	}
	m, err := LoadModel(writeTiny(t, tinygguf.Options{}), o)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, m)
	tokens := tokenize(t, m, "some words of text, and some more of them")
	scale := []int32{5, 17, 40}
	var got kernels.LogProbs
	hook := func(o OutputRows) error {
		q := kernels.LogProbQuery{Tokens: scale}
		for i := range o.Rows { // each row foretells the next token
			target := int32(-1)
			if i+1 < len(tokens) {
				target = tokens[i+1]
			}
			q.Targets = append(q.Targets, target)
		}
		return rows(t, o, kernels.LogProbShape{Rows: o.Rows, Vocab: o.Vocab, Stride: o.Stride}, q, &got)
	}
	c, b, err := watched(t, m, hook, func(int) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Len() {
		row, err := c.Logits(i)
		if err != nil {
			t.Fatal(err)
		}
		lse := LogSumExp(row)
		if got.Status[i] != kernels.RowOK || !(math.Abs(got.LogSumExp[i]-lse) <= 2e-6) {
			t.Errorf("row %d: %v, log-sum-exp %v, want %v", i, got.Status[i], got.LogSumExp[i], lse)
		}
		if i+1 < len(tokens) {
			if want := float64(row[tokens[i+1]]) - lse; !(math.Abs(got.LogProb[i]-want) <= 2e-6) {
				t.Errorf("row %d: log-probability %v, want %v", i, got.LogProb[i], want)
			}
		} else if !math.IsNaN(got.LogProb[i]) {
			t.Errorf("row %d has no target, and the log-probability %v", i, got.LogProb[i])
		}
		for k, token := range scale {
			if want := math.Exp(float64(row[token]) - lse); !(math.Abs(got.Probs[3*i+k]-want) <= 2e-6) {
				t.Errorf("row %d: probability of token %d is %v, want %v", i, token, got.Probs[3*i+k], want)
			}
		}
	}
}
