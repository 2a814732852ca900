package kernelcases

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// LogProbCase is a number of vocabulary rows with what is asked of each.
type LogProbCase struct {
	Name                string
	Rows, Vocab, Stride int
	Spread              float64 // standard deviation of the logits
	Tokens              int     // of a scale, asked of each row
	Lists               bool    // each row has tokens of its own, up to that number
	Seed                uint64
	Measure             bool // for measuring, too large for a test
}

// LogProb returns the cases. The vocabularies that are measured are those of Llama 2,
// SmolLM2, Llama 3 and Qwen 2.5; 16 rows are one record with its rating trie, 512 a
// batch for perplexity.
func LogProb() (list []LogProbCase) {
	for _, vocab := range []int{1, 2, 31, 32, 33, 1023, 1024, 1025, 4099} {
		for _, rows := range []int{0, 1, 3, 33} {
			list = append(list, LogProbCase{Name: "plain", Rows: rows, Vocab: vocab, Stride: vocab, Spread: 3, Seed: 1})
		}
	}
	for i, spread := range []float64{0, 0.1, 30, 300} {
		list = append(list, LogProbCase{Name: "spread", Rows: 5, Vocab: 1500, Stride: 1507, Spread: spread, Tokens: 11, Seed: uint64(2 + i)})
	}
	list = append(list,
		LogProbCase{Name: "scale", Rows: 9, Vocab: 423, Stride: 424, Spread: 2, Tokens: 1, Seed: 6},
		LogProbCase{Name: "trie", Rows: 40, Vocab: 523, Stride: 523, Spread: 2, Tokens: 11, Lists: true, Seed: 7},
		LogProbCase{Name: "long rows", Rows: 3, Vocab: 49152, Stride: 49152, Spread: 3, Tokens: 11, Seed: 8},
		LogProbCase{Name: "long odd rows", Rows: 2, Vocab: 50257, Stride: 50257, Spread: 3, Tokens: 6, Lists: true, Seed: 9})
	for _, vocab := range []int{32000, 49152, 128256, 151936} {
		for _, rows := range []int{1, 16, 512} {
			list = append(list, LogProbCase{Name: fmt.Sprintf("%d rows of %d", rows, vocab), Rows: rows, Vocab: vocab, Stride: vocab, Spread: 3, Tokens: 11, Seed: 10, Measure: true})
		}
	}
	return list
}

// Data returns the case's logits and what is asked of them. Every fifth row has no
// target (-1), and every hundredth logit or so is -Inf, as where tokens are masked,
// but never a row's first. starts is nil without lists, values are one a token.
func (c LogProbCase) Data() (logits []float32, targets, tokens, starts []int32, values []float64) {
	random := rand.New(rand.NewPCG(c.Seed, uint64(c.Vocab)))
	if c.Rows > 0 {
		logits = make([]float32, (c.Rows-1)*c.Stride+c.Vocab)
	}
	for i := range logits {
		// The sum of four uniform numbers is close to normal, with a variance of 1/3.
		// Each is 16 bits of one number.
		bits := random.Uint64()
		sum := float64(bits&0xffff+bits>>16&0xffff+bits>>32&0xffff+bits>>48)/65536 - 2
		logits[i] = float32(sum*math.Sqrt(3)*c.Spread - 5)
		if bits%101 == 0 && i%c.Stride != 0 {
			logits[i] = float32(math.Inf(-1))
		}
	}
	targets = make([]int32, c.Rows)
	for r := range targets {
		targets[r] = int32(random.IntN(c.Vocab))
		if r%5 == 4 {
			targets[r] = -1
		}
	}
	if c.Tokens == 0 {
		return logits, targets, nil, nil, nil
	}
	some := func(n int) {
		for _, t := range random.Perm(min(c.Vocab, 400))[:n] {
			tokens = append(tokens, int32(t))
			values = append(values, float64(len(values)%11)/2)
		}
	}
	if !c.Lists {
		some(c.Tokens)
		return logits, targets, tokens, nil, values
	}
	tokens, starts = []int32{}, []int32{0}
	for range c.Rows {
		some(random.IntN(c.Tokens + 1))
		starts = append(starts, int32(len(tokens)))
	}
	return logits, targets, tokens, starts, values
}

// Cost returns what the case takes at least: bytes read and written once, and the 26
// operations of a logit's comparison, exponential and addition, a fused one counted
// as two.
func (c LogProbCase) Cost() (bytes, operations float64) {
	return float64(c.Rows)*(4*float64(c.Vocab)+4+8+8*float64(c.Tokens)) + 4*float64(c.Tokens), 26 * float64(c.Rows) * float64(c.Vocab)
}
