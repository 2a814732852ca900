//go:build !cgo

package kernels

// logProbSums fills tops and sums of rows.
func logProbSums(logits []float32, rows, vocab, stride int, tops []float32, sums []float64) {
	for r := range rows {
		tops[r], sums[r] = logProbSum(logits[r*stride:][:vocab])
	}
}
