package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"winnow/grader/engine"
	"winnow/grader/record"
	"winnow/llama"
)

// trialTime is about how long one trial grades.
const trialTime = 4 * time.Second

// Trial is the measured speed of one choice of settings.
type Trial struct {
	Batch          int     `json:"batch_tokens"`
	Contexts       int     `json:"contexts"`
	Threads        int     `json:"threads"`
	FlashAttention bool    `json:"flash_attention"`
	RecordRate     float64 `json:"records_per_s"`
	Matmul         string  `json:"matmul,omitempty"` // what a GPU's matrix products go through; "" for the program's choice
}

// String names the settings as the flags that ask for them.
func (t Trial) String() string {
	fa := "on"
	if !t.FlashAttention {
		fa = "off"
	}
	s := fmt.Sprintf("-ub %d -fa %s --contexts %d -t %d", t.Batch, fa, t.Contexts, t.Threads)
	if t.Matmul != "" {
		s += " --gpu-kernels " + t.Matmul
	}
	return s
}

// Tune grades records with different settings and returns the fastest. One after
// the other it tries how the cores are shared among contexts, then the batch
// sizes: on a CPU each with and without flash attention, on a GPU each with all
// kinds of matrix products, and the best of them without flash attention too.
// told, if not nil, is called after each trial. The records should be typical ones, a
// few hundred; slow models are measured on fewer.
func Tune(ctx context.Context, o engine.Options, recs []*record.Record, told func(Trial)) (*Profile, error) {
	if len(recs) == 0 {
		return nil, errors.New("tune: no records")
	}
	// Sums in F16 are not tried: they cost digits of the ratings.
	t := tuner{ctx: ctx, o: o, recs: recs, told: told, matmuls: []llama.Matmul{llama.MatmulInt8, llama.MatmulCuBLAS}}
	t.measure = t.grade
	if o.GPULayers != 0 {
		placed, _, err := engine.Place(o, engine.GPUs())
		if err != nil {
			return nil, err
		}
		if p := placed[0]; len(p.Place.Shares) > 0 { // the first of several GPUs, as opening an engine has it
			t.standard = Trial{Batch: p.Batch, Contexts: p.Lanes, Threads: p.Threads, FlashAttention: true, Matmul: p.Matmul}
		}
	}
	return t.choose(runtime.GOMAXPROCS(0))
}

// choose tries settings for so many cores and returns the fastest.
func (t *tuner) choose(cores int) (*Profile, error) {
	standard := t.standard
	if standard.Batch == 0 {
		standard = Trial{Batch: engine.DefaultBatch, Contexts: 1, Threads: cores, FlashAttention: true}
	}
	standard, err := t.try(standard)
	if err != nil {
		return nil, err
	}
	best := standard
	for _, c := range t.shares(cores) {
		c.Batch, c.FlashAttention, c.Matmul = standard.Batch, true, standard.Matmul
		if best, err = t.better(best, c); err != nil {
			return nil, err
		}
	}
	for _, c := range t.settings(best) {
		if best, err = t.better(best, c); err != nil {
			return nil, err
		}
	}
	if t.gpu && !t.o.Deterministic {
		c := best
		c.FlashAttention, c.RecordRate = false, 0
		if best, err = t.better(best, c); err != nil {
			return nil, err
		}
	}
	p := t.profile
	p.Batch, p.Contexts, p.Threads, p.FlashAttention, p.Matmul = best.Batch, best.Contexts, best.Threads, best.FlashAttention, best.Matmul
	if n := best.Batch + t.prefix; !t.gpu && n%engine.CellStep == 0 {
		p.Cells = n
	}
	p.RecordRate, p.DefaultRate = best.RecordRate, standard.RecordRate
	return &p, nil
}

// settings are the batch sizes with all that depends on them, for the contexts of
// best. Which products are the fastest changes with the batch, and a GPU always
// wants flash attention.
func (t *tuner) settings(best Trial) []Trial {
	var list []Trial
	for _, batch := range t.sizes() {
		if batch < engine.MinBatch {
			continue
		}
		c := Trial{Batch: batch, Contexts: best.Contexts, Threads: best.Threads, FlashAttention: true}
		switch {
		case t.gpu:
			for _, kind := range t.matmuls {
				c.Matmul = string(kind)
				list = append(list, c)
			}
		case t.o.Deterministic: // which needs flash attention
			list = append(list, c)
		default:
			off := c
			off.FlashAttention = false
			list = append(list, c, off)
		}
	}
	return list
}

// tuner is the state of one Tune.
type tuner struct {
	ctx      context.Context
	o        engine.Options
	recs     []*record.Record
	told     func(Trial)
	measure  func(Trial) (float64, error) // records per second
	tried    []Trial                      // without their rates
	n        int                          // records of a trial; 0 until the first has shown how many
	profile  Profile
	gpu      bool
	matmuls  []llama.Matmul // the kinds of products to try on a GPU
	standard Trial          // what a GPU gets without a profile; zero on a CPU
	prefix   int            // tokens that all prompts share
}

// sizes are the batch sizes to try. On a CPU attention goes through all cells of
// the cache up to the last used one, rounded up to 256, so sizes that fill such a
// step together with the shared prefix are best.
func (t *tuner) sizes() []int {
	if t.gpu {
		return []int{512, 1024, 2048, 4096}
	}
	var list []int
	for _, steps := range []int{1, 2, 3, 4} {
		list = append(list, steps*engine.CellStep-t.prefix%engine.CellStep)
	}
	return list
}

// shares are the ways to share the cores among contexts, but for one context with
// all of them.
func (t *tuner) shares(cores int) []Trial {
	list := []Trial{}
	counts := []int{2, 4, 8}
	if t.gpu { // one context prepares its batch while another one's is computed
		counts = []int{2, 3}
	}
	for _, contexts := range counts {
		if threads := cores / contexts; threads >= 1 || t.gpu {
			list = append(list, Trial{Contexts: contexts, Threads: max(1, threads)})
		}
	}
	if cores >= 4 && !t.gpu {
		list = append(list, Trial{Contexts: 1, Threads: cores / 2}) // hyperthreads can be in each other's way
	}
	return list
}

// noise is by which factor settings must be faster to be worth a change.
const noise = 1.02

// better tries c, unless that was done before, and returns it if it is faster than
// best by more than noise. What does not fit the memory is not faster.
func (t *tuner) better(best, c Trial) (Trial, error) {
	if slices.Contains(t.tried, c) {
		return best, nil
	}
	c, err := t.try(c)
	if errors.Is(err, llama.ErrNoMemory) {
		slog.Warn("not enough memory for some settings: they are left out", "settings", c.String(), "reason", err)
		return best, nil
	}
	if err != nil || c.RecordRate < noise*best.RecordRate {
		return best, err
	}
	return c, nil
}

// try measures a trial and tells of it.
func (t *tuner) try(c Trial) (Trial, error) {
	t.tried = append(t.tried, c)
	rate, err := t.measure(c)
	if err != nil {
		return c, fmt.Errorf("tune with %s: %w", c, err)
	}
	c.RecordRate = rate
	if t.told != nil {
		t.told(c)
	}
	return c, nil
}

// grade returns the rate of a trial: the better of two runs.
func (t *tuner) grade(c Trial) (rate float64, err error) {
	o := t.o
	o.Batch, o.Lanes, o.Threads, o.NoFlashAttention, o.Matmul = c.Batch, c.Contexts, c.Threads, !c.FlashAttention, c.Matmul
	e, err := engine.Open(o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	m := e.Manifest()
	t.prefix = e.PrefixTokens()
	t.gpu = m.Runtime.Device != "CPU"
	t.profile = Profile{Machine: machine(), Device: m.Runtime.Device, Engine: m.Runtime.Engine, Model: m.Model.Name}
	if t.n == 0 {
		if t.n, err = t.enough(e); err != nil {
			return 0, err
		}
	} else if _, err := gradeOnce(t.ctx, e, t.recs[:min(8, t.n)]); err != nil { // warm-up
		return 0, err
	}
	for range 2 {
		done, err := gradeOnce(t.ctx, e, t.recs[:t.n])
		if err != nil {
			return 0, err
		}
		if done.Tokens == 0 {
			return 0, errNothing(t.recs[:t.n])
		}
		rate = max(rate, float64(t.n)/done.Took.Seconds())
	}
	return rate, nil
}

// enough returns how many records take about trialTime.
func (t *tuner) enough(e *engine.Engine) (int, error) {
	n := min(16, len(t.recs))
	if _, err := gradeOnce(t.ctx, e, t.recs[:min(4, n)]); err != nil { // warm-up
		return 0, err
	}
	done, err := gradeOnce(t.ctx, e, t.recs[:n])
	if err != nil {
		return 0, err
	}
	return min(len(t.recs), max(n, int(float64(n)*trialTime.Seconds()/done.Took.Seconds()))), nil
}
