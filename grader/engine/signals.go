package engine

import (
	"context"
	"fmt"
	"math"

	"winnow/grader"
	"winnow/grader/signal"
	"winnow/llama"
)

// limitRows makes batches small where signals take many rows and nobody asked for a
// size.
func (o *Options) limitRows() {
	rows := o.Signals.Has(signal.Loss) || o.Signals.Has(signal.Follow) || o.Signals.Has(signal.Plain)
	if rows && o.Batch == 0 && o.Cells == 0 {
		o.Batch = SignalsBatch
	}
}

// hidden reports whether hidden states are asked for.
func (e *Engine) hidden() bool { return e.o.Signals.Has(signal.Hidden) }

// chooseLayer finds the layer of the hidden states.
func (e *Engine) chooseLayer() error {
	if !e.hidden() {
		return nil
	}
	n := e.info.Layers
	if n < 2 {
		return fmt.Errorf("it has %d layers: hidden states are taken behind one that is not the last", n)
	}
	if e.o.HiddenLayer < 0 || e.o.HiddenLayer >= n {
		return fmt.Errorf("hidden layer %d: want one from 1 to %d, or 0 for two thirds of the layers", e.o.HiddenLayer, n-1)
	}
	if e.o.HiddenLayer == 0 {
		e.o.HiddenLayer = max(1, 2*n/3)
	}
	e.layer = e.o.HiddenLayer - 1
	return nil
}

// tryHidden decodes the prefix if hidden states are asked for: a model that does not
// show them is found when it is opened, and not by the first record.
func (e *Engine) tryHidden() error {
	if !e.hidden() {
		return nil
	}
	l := e.lanes[0]
	if err := l.thread.Do(context.Background(), l.prime); err != nil {
		return fmt.Errorf("model %s (%s): its hidden states cannot be had, leave hidden out of --signals: %w", e.o.Model, e.info.Arch, err)
	}
	return nil
}

// seqs is the number of sequences that a prompt takes: one a branch of its tail,
// which share the prefix, then one for each beside it.
func (e *Engine) seqs() int { return e.tail.branches + len(e.sides.list) }

// shareSeqs numbers the sequences, and finds those that carry the prefix: all but
// those beside prompts.
func (e *Engine) shareSeqs() error {
	n := e.seqs()
	if n > maxBranches {
		return fmt.Errorf("a record needs %d sequences, llama.cpp has %d for them: ask for fewer ratings, criteria or signals at a time", n, maxBranches)
	}
	for s := range llama.SeqID(llama.MaxSeqs) {
		e.all = append(e.all, s)
		if int(s)%n < e.tail.branches || s == filling[0] {
			e.sharing = append(e.sharing, s)
		}
	}
	return nil
}

// sums are what the rows and states of a batch add up to. Its memory is reused.
type sums struct {
	losses [][passages]loss // of each prompt
	width  int              // of a state; 0 if none is wanted
	means  []float64        // the sum of the response's states of each prompt
	lasts  []float32        // each prompt's last state
}

// loss is the sum of negative log-likelihoods.
type loss struct {
	sum    float64
	tokens int
}

// mean is NaN without tokens.
func (l loss) mean() float64 {
	if l.tokens == 0 {
		return math.NaN()
	}
	return l.sum / float64(l.tokens)
}

func (s *sums) begin(prompts int, e *Engine) {
	if cap(s.losses) < prompts {
		s.losses = make([][passages]loss, prompts)
	}
	s.losses = s.losses[:prompts]
	clear(s.losses)
	if !e.hidden() {
		return
	}
	s.width = e.info.Embd
	if n := prompts * s.width; cap(s.means) < n {
		s.means, s.lasts = make([]float64, n), make([]float32, n)
	}
	s.means, s.lasts = s.means[:prompts*s.width], s.lasts[:prompts*s.width]
	clear(s.means)
	clear(s.lasts)
}

func (s *sums) add(prompt int, in passage, nll float64) {
	l := &s.losses[prompt][in]
	l.sum += nll
	l.tokens++
}

// states takes a layer's output for the tokens of the present pass. Those behind its
// steps fill the batch up.
func (l *lane) states(st llama.States) error {
	for i := range st.Tokens {
		if st.First+i >= len(l.now) {
			break
		}
		s := &l.now[st.First+i]
		if s.use&(responds|ends) == 0 {
			continue
		}
		row, at := st.Values[i*st.Width:][:st.Width], s.prompt*st.Width
		if s.use&responds != 0 {
			mean := l.sums.means[at:][:st.Width]
			for k, x := range row {
				mean[k] += float64(x)
			}
		}
		if s.use&ends != 0 {
			copy(l.sums.lasts[at:], row)
		}
	}
	return nil
}

// signals puts what was gathered for a prompt into its outcome.
func (l *lane) signals(i int, p *grader.Prompt, out *grader.Outcome) {
	losses := &l.sums.losses[i]
	for _, passage := range losses {
		if math.IsNaN(passage.sum) || math.IsInf(passage.sum, 0) {
			out.Fault = notFinite("logits")
			return
		}
	}
	own, answered, unasked, bare := losses[rated].mean(), losses[answer].mean(), losses[alone].mean(), losses[plain].mean()
	list := out.Signals[:0]
	for _, g := range l.e.o.Signals { // in the order of Set.Names
		switch g {
		case signal.Tokens:
			list = append(list, float64(p.Asked), float64(p.To-p.From))
		case signal.Loss:
			list = append(list, own, orNaN(math.Exp(own)))
		case signal.Follow:
			list = append(list, answered, unasked, orNaN(answered/unasked), orNaN(math.Exp(answered-unasked)))
		case signal.Plain:
			list = append(list, orNaN(math.Exp(bare-unasked)))
		}
	}
	out.Signals = list
	if !l.e.hidden() {
		return
	}
	width := l.sums.width
	if cap(out.Hidden) < 2*width {
		out.Hidden = make([]float32, 2*width)
	}
	out.Hidden = out.Hidden[:2*width]
	tokens := float64(max(1, p.To-p.From))
	for k, sum := range l.sums.means[i*width:][:width] {
		out.Hidden[k] = bfloat16(float32(sum / tokens))
	}
	for k, x := range l.sums.lasts[i*width:][:width] {
		out.Hidden[width+k] = bfloat16(x)
	}
	for _, x := range out.Hidden {
		if x-x != 0 { // NaN or infinite
			out.Fault = notFinite("hidden states")
			return
		}
	}
}

// orNaN makes what is not finite NaN: a ratio by 0, or an exponential beyond all
// numbers.
func orNaN(x float64) float64 {
	if math.IsInf(x, 0) {
		return math.NaN()
	}
	return x
}

// bfloat16 rounds to the 16 bits that a journal keeps of a hidden state: to the
// nearest number of 8 significant bits, of two to the even one.
func bfloat16(x float32) float32 {
	const low = 1<<16 - 1
	bits := math.Float32bits(x)
	if x != x {
		return x // adding to it could give infinity or a number
	}
	return math.Float32frombits((bits + low>>1 + bits>>16&1) &^ low)
}
