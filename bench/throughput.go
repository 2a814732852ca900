package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"winnow/grader"
	"winnow/grader/engine"
	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/llama"
)

// alpacaRecords is the size of the data set that the method was published on.
const alpacaRecords = 52002

// Throughput is the result of one run. Rates are medians over the repeats, and
// the spread is (largest − smallest) ÷ median.
type Throughput struct {
	Version        string   `json:"winnow"`  // of the program; set by the caller
	Machine        string   `json:"machine"` // processor, usable cores, widest instruction set that the engine uses
	Model          string   `json:"model"`
	Format         string   `json:"format"`
	Rubrics        []string `json:"rubrics"`
	Device         string   `json:"device"`
	Engine         string   `json:"engine"`
	Contexts       int      `json:"contexts"`
	Threads        int      `json:"threads"` // of each context
	Batch          int      `json:"batch_tokens"`
	FlashAttention bool     `json:"flash_attention"`
	Records        int      `json:"records"`
	Tokens         int      `json:"tokens"` // decoded for all records: their own and those behind them, without the shared prefix
	Repeats        int      `json:"repeats"`

	RawRate       float64 `json:"raw_tokens_per_s"` // llama_decode over full batches of one sequence, with the same settings
	RawSpread     float64 `json:"raw_spread"`
	GradingRate   float64 `json:"grading_tokens_per_s"` // of Tokens, from records to entries
	GradingSpread float64 `json:"grading_spread"`
	Efficiency    float64 `json:"efficiency"`    // GradingRate ÷ RawRate
	RecordRate    float64 `json:"records_per_s"` // of those that can be rated, each once
	Projected     float64 `json:"alpaca_52k_s"`  // seconds that Alpaca's 52,002 records would take
	Fill          float64 `json:"packing_fill"`  // tokens ÷ what the passes through the model could have held

	// Time that each stage was busy ÷ the time that grading took. Stages work side
	// by side: the shares need not sum to 1.
	Stages map[string]float64 `json:"stage_shares"`

	FLOPsPerToken float64 `json:"flops_per_token"` // of the model, at the mean of what grading asks of it
	FLOPRate      float64 `json:"grading_flop_per_s"`
	RawFLOPRate   float64 `json:"raw_flop_per_s"`
	PeakFLOPRate  float64 `json:"peak_flop_per_s,omitempty"` // as stated by the caller
	PeakShare     float64 `json:"peak_share,omitempty"`      // FLOPRate ÷ PeakFLOPRate

	PeakRSS      uint64 `json:"peak_rss_bytes"` // of the process, model file included
	DeviceMemory uint64 `json:"device_memory_bytes,omitempty"`

	Energy          []Energy `json:"energy,omitempty"` // over all repeats of grading
	NoEnergy        []string `json:"no_energy,omitempty"`
	JoulesPerRecord float64  `json:"joules_per_record,omitempty"`               // of all meters together
	CostPerMillion  float64  `json:"energy_cost_per_million_records,omitempty"` // in the currency of the stated price
}

// MeasureOptions says what Measure does beside measuring rates.
type MeasureOptions struct {
	Repeats      int
	PeakFLOPRate float64 // what the hardware can do at best; 0 if nobody says
	PricePerKWh  float64 // of electricity, in any currency; 0 if nobody says
}

// Measure grades recs and runs the raw rate, in turns, so that both meet the
// same disturbances. The first turn warms up and does not count.
func Measure(ctx context.Context, e *engine.Engine, recs []*record.Record, o MeasureOptions) (_ *Throughput, err error) {
	if len(recs) == 0 || o.Repeats < 1 {
		return nil, fmt.Errorf("measure %d records %d times: want at least one of each", len(recs), o.Repeats)
	}
	work, err := workOf(e, recs)
	if err != nil {
		return nil, err
	}
	if work.tokens == 0 {
		return nil, errNothing(recs)
	}
	t := describe(e)
	t.Records, t.Repeats, t.PeakFLOPRate = len(recs), o.Repeats, o.PeakFLOPRate
	eo := e.Options()
	raw, err := newCeiling(e.Model(), eo)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, raw.close()) }()
	meters := OpenMeters("/")
	defer meters.Close()
	t.NoEnergy = meters.Absent
	_ = ResetPeakRSS() // where it cannot be reset, loading the model counts too

	var rawRates, gradingRates []float64
	var total grader.Progress
	energy := map[string]Energy{}
	for i := range o.Repeats + 1 {
		meters.Start()
		done, err := gradeOnce(ctx, e, recs)
		used := meters.Stop()
		if err != nil {
			return nil, err
		}
		t.DeviceMemory = max(t.DeviceMemory, DeviceMemory(llama.Devices()))
		// As many raw tokens as grading decoded, so that neither is timed longer.
		rate, err := raw.rate(ctx, done.Tokens/(eo.Batch*eo.Lanes)+1)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			continue
		}
		t.Tokens = done.Tokens
		t.Fill = float64(done.Tokens) / float64(done.Passes*eo.Batch)
		rawRates = append(rawRates, rate)
		gradingRates = append(gradingRates, float64(done.Tokens)/done.Took.Seconds())
		total = sum(total, done)
		for _, u := range used {
			energy[u.Meter] = addUp(energy[u.Meter], u)
		}
	}
	t.RawRate, t.RawSpread = median(rawRates)
	t.GradingRate, t.GradingSpread = median(gradingRates)
	t.Efficiency = t.GradingRate / t.RawRate
	t.RecordRate = t.GradingRate / float64(t.Tokens) * work.records
	t.Projected = Projection(t.RecordRate, alpacaRecords).Seconds()
	t.Stages = shares(total)
	if t.PeakRSS, err = PeakRSS(); err != nil {
		return nil, err
	}
	t.addEnergy(energy, meters.Names())
	const joulesPerKWh = 3.6e6
	t.CostPerMillion = t.JoulesPerRecord / joulesPerKWh * 1e6 * o.PricePerKWh
	return t, t.addFLOPs(e.Options(), work)
}

// describe fills in what is known before anything is measured.
func describe(e *engine.Engine) *Throughput {
	o, m := e.Options(), e.Manifest()
	return &Throughput{
		Machine: machine(), Model: m.Model.Name, Format: m.Model.Format, Rubrics: m.Criteria(), Device: m.Runtime.Device, Engine: m.Runtime.Engine,
		Contexts: o.Lanes, Threads: o.Threads, Batch: o.Batch, FlashAttention: !o.NoFlashAttention,
	}
}

func sum(a, b grader.Progress) grader.Progress {
	a.Took += b.Took
	a.Stages.Read += b.Stages.Read
	a.Stages.Encode += b.Stages.Encode
	a.Stages.Pack += b.Stages.Pack
	a.Stages.Layout += b.Stages.Layout
	a.Stages.Decode += b.Stages.Decode
	a.Stages.Rows += b.Stages.Rows
	a.Stages.Write += b.Stages.Write
	return a
}

func shares(p grader.Progress) map[string]float64 {
	m := map[string]float64{}
	for name, d := range map[string]time.Duration{
		"read": p.Stages.Read, "encode": p.Stages.Encode, "pack": p.Stages.Pack, "layout": p.Stages.Layout,
		"decode": p.Stages.Decode, "rows": p.Stages.Rows, "write": p.Stages.Write,
	} {
		m[name] = d.Seconds() / p.Took.Seconds()
	}
	return m
}

// addUp is what a meter counted in two intervals. It is unknown if either is.
func addUp(a, b Energy) Energy {
	sum := Energy{Meter: b.Meter, Unknown: cmp.Or(a.Unknown, b.Unknown)}
	if sum.Unknown == "" {
		sum.Joules = a.Joules + b.Joules
	}
	return sum
}

func (t *Throughput) addEnergy(used map[string]Energy, names []string) {
	joules, known := 0.0, len(names) > 0
	for _, name := range names {
		u := used[name]
		t.Energy = append(t.Energy, u)
		joules += u.Joules
		known = known && u.Unknown == ""
	}
	if known {
		t.JoulesPerRecord = joules / float64(t.Records*t.Repeats)
	}
}

// work is what records ask of the model.
type work struct {
	records             float64 // that can be rated, each once
	tokens, rows, cells float64 // cells: over all tokens, how many they attend to
}

func workOf(e *engine.Engine, recs []*record.Record) (w work, err error) {
	var p grader.Prompt
	seen := map[record.Key]bool{} // records with equal keys are rated once
	for _, r := range recs {
		if seen[r.Key] {
			continue
		}
		seen[r.Key] = true
		var fault *record.Fault
		if err := e.Encode(r, &p); errors.As(err, &fault) || r.Fault != nil {
			continue
		} else if err != nil {
			return w, err
		}
		own, size, prefix := float64(len(p.Tokens)), float64(p.Size), float64(e.PrefixTokens())
		w.records++
		w.tokens += size
		w.rows += float64(e.RatingRows())
		// What stands behind the record is short: its depth is left out.
		w.cells += size*prefix + own*(own+1)/2 + (size-own)*(own+1)
	}
	return w, nil
}

// addFLOPs computes operations from the model's shapes and the measured rates.
func (t *Throughput) addFLOPs(o engine.Options, w work) error {
	c, err := CostOf(o.Model)
	if err != nil {
		return err
	}
	flops := w.tokens*c.PerToken + w.rows*c.PerOutputRow + w.cells*c.PerCell
	t.FLOPsPerToken = flops / w.tokens
	t.FLOPRate = t.FLOPsPerToken * t.GradingRate
	n := float64(o.Batch)
	t.RawFLOPRate = (c.PerToken + c.PerOutputRow/n + c.PerCell*(n+1)/2) * t.RawRate
	if t.PeakFLOPRate > 0 {
		t.PeakShare = t.FLOPRate / t.PeakFLOPRate
	}
	return nil
}

// machine describes what computes in a few words: the GPUs that are loaded and the
// processor.
func machine() string {
	var gpus []string
	for _, d := range llama.Devices() {
		if d.GPU {
			gpus = append(gpus, d.Description)
		}
	}
	return machineWith(gpus)
}

// machineWith describes a machine with these GPUs. It asks none of them anything.
func machineWith(gpus []string) string {
	s := "unknown processor"
	for _, d := range llama.Devices() {
		if d.Name == "CPU" {
			s = d.Description
		}
	}
	s = strings.Join(append(gpus, s), ", ") + fmt.Sprintf(", %d cores", runtime.GOMAXPROCS(0))
	if f := engine.Features(); len(f) > 0 {
		for _, x := range slices.Backward(f) {
			if x.Build {
				return s + ", " + x.Name
			}
		}
	}
	return s
}

// gradeOnce grades records and forgets the ratings.
func gradeOnce(ctx context.Context, e *engine.Engine, recs []*record.Record) (grader.Progress, error) {
	done, err := grader.Grade(ctx, &slice{recs: recs}, e, discard{}, discard{}, grader.GradeOptions{MaxOffScale: 1})
	return done.Progress, err
}

// errNothing says that rates of these records would be rates of nothing.
func errNothing(recs []*record.Record) error {
	return fmt.Errorf("none of %d records can be graded: give well-formed ones that have a response and fit the context", len(recs))
}

// slice is a source of records that are in memory.
type slice struct {
	recs []*record.Record
	at   int
}

func (s *slice) Next() (*record.Record, error) {
	if s.at == len(s.recs) {
		return nil, io.EOF
	}
	s.at++
	return s.recs[s.at-1], nil
}

// discard is a ledger that forgets and knows nothing.
type discard struct{}

func (discard) Append([]journal.Entry) error            { return nil }
func (discard) Status(record.Key) (record.Status, bool) { return "", false }
