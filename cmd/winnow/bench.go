package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"winnow/bench"
	"winnow/grader/engine"
	"winnow/grader/record"
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure the grading rate beside the raw rate of llama_decode, or find the fastest settings",
		Description: `Examples:
  winnow bench -m model.gguf --data data.json --records 256
  winnow bench -m model.gguf --tune

Grading and raw decoding run in turns. Run it while nothing else runs: rates are
medians, and the spread tells how quiet the machine was. Without --data, records
of random words are graded, of lengths like Alpaca's.

--tune tries batch sizes, flash attention, threads and contexts, and saves the
fastest settings for models of this shape on this machine. grade, filter and
bench use them where their flags say nothing else.`,
		Flags: append(append(engineFlags(), sourceFlags()...),
			&cli.StringFlag{Name: "data", Usage: "`FILE` of records"},
			&cli.StringFlag{Name: "lengths", Usage: "without --data, the lengths of the responses in words: `MEDIAN[,SIGMA]` of a log-normal distribution"},
			&cli.IntFlag{Name: "records", Value: 64, Usage: "grade the first `N` records"},
			&cli.IntFlag{Name: "repeats", Value: 5, Usage: "repeat `N` times, after one warm-up"},
			&cli.BoolFlag{Name: "alone", Usage: "instead of speed, measure how far ratings of packed records are from those of the same records alone"},
			&cli.BoolFlag{Name: "tune", Usage: "find and save the fastest settings"},
			&cli.Float64Flag{Name: "peak-tflops", Usage: "what the hardware can do at best, in 10¹² operations a second, to state the share `X` that is reached"},
			&cli.Float64Flag{Name: "price-kwh", Usage: "`PRICE` of a kilowatt-hour, to state what a million records cost in energy"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
		),
		OnUsageError: onUsageError,
		Subcommands:  []*cli.Command{synthesizeCommand(), recordsCommand(), matrixCommand()},
		Action:       runBench,
	}
}

func runBench(c *cli.Context) (err error) {
	if c.Args().Present() {
		return usagef("bench takes no argument %q: give the records with --data", c.Args().First())
	}
	if c.IsSet("limit") {
		return usagef("bench takes --records, not --limit")
	}
	if c.Bool("alone") {
		for _, flag := range []string{"tune", "repeats", "peak-tflops", "price-kwh"} {
			if c.IsSet(flag) {
				return usagef("--%s is for benchmarks without --alone", flag)
			}
		}
	}
	if c.Int("records") < 1 || c.Int("repeats") < 1 {
		return usagef("--records and --repeats must be 1 or more")
	}
	if c.Float64("peak-tflops") < 0 || c.Float64("price-kwh") < 0 {
		return usagef("--peak-tflops and --price-kwh must not be negative")
	}
	recs, err := benchRecords(c)
	if err != nil {
		return err
	}
	if c.Bool("tune") {
		return tune(c, recs)
	}
	o, err := engineOptions(c)
	if err != nil {
		return err
	}
	e, err := openEngine(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if c.Bool("alone") {
		return alone(c, e, recs)
	}
	t, err := bench.Measure(c.Context, e, recs, bench.MeasureOptions{Repeats: c.Int("repeats"), PeakFLOPRate: c.Float64("peak-tflops") * 1e12, PricePerKWh: c.Float64("price-kwh")})
	if err != nil {
		return err
	}
	t.Version = version
	if c.Bool("json") {
		return printJSON(c.App.Writer, t)
	}
	return printThroughput(c.App.Writer, t)
}

// benchRecords reads the records of --data, or makes some.
func benchRecords(c *cli.Context) ([]*record.Record, error) {
	if c.String("data") == "" {
		lengths, err := bench.ParseLengths(c.String("lengths"))
		if err != nil {
			return nil, usageError{err}
		}
		return bench.Synthetic(c.Int("records"), lengths, 1)
	}
	if c.IsSet("lengths") {
		return nil, usagef("--lengths is for benchmarks without --data")
	}
	src, err := newSource(c, []string{c.String("data")})
	if err != nil {
		return nil, err
	}
	defer src.close()
	recs, err := readRecords(src, c.Int("records"))
	if err != nil {
		return nil, err
	}
	if len(recs) == 0 {
		return nil, fmt.Errorf("%s has no records: give a file that has some", c.String("data"))
	}
	if len(recs) < c.Int("records") {
		slog.Warn("the file has fewer records than asked for", "records", len(recs))
	}
	return recs, nil
}

func printThroughput(out io.Writer, t *bench.Throughput) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "machine\t%s\n", t.Machine)
	fmt.Fprintf(w, "model\t%s (%s), %s\n", t.Model, t.Format, t.Device)
	fmt.Fprintf(w, "settings\tbatches of %d tokens, flash attention %s, %d contexts of %d threads, %d repeats\n", t.Batch, onOff(t.FlashAttention), t.Contexts, t.Threads, t.Repeats)
	fmt.Fprintf(w, "work\t%d records, %d tokens, by %s\n", t.Records, t.Tokens, strings.Join(t.Rubrics, ", "))
	fmt.Fprintf(w, "raw\t%.1f tokens/s (spread %.0f %%), %.3g FLOP/s\n", t.RawRate, 100*t.RawSpread, t.RawFLOPRate)
	fmt.Fprintf(w, "grading\t%.1f tokens/s (spread %.0f %%), %.2f records/s, %.3g FLOP/s\n", t.GradingRate, 100*t.GradingSpread, t.RecordRate, t.FLOPRate)
	fmt.Fprintf(w, "efficiency\t%.3f grading ÷ raw\n", t.Efficiency)
	if t.PeakShare > 0 {
		fmt.Fprintf(w, "peak\t%.1f %% of %.3g FLOP/s\n", 100*t.PeakShare, t.PeakFLOPRate)
	}
	fmt.Fprintf(w, "packing\t%.1f %% of the batches filled\n", 100*t.Fill)
	fmt.Fprintf(w, "busy\t%s\n", stageLine(t.Stages))
	fmt.Fprintf(w, "memory\t%.0f MiB at most", float64(t.PeakRSS)/(1<<20))
	if t.DeviceMemory > 0 {
		fmt.Fprintf(w, ", %.0f MiB of the device", float64(t.DeviceMemory)/(1<<20))
	}
	fmt.Fprintln(w)
	for _, e := range t.Energy {
		if e.Unknown != "" {
			fmt.Fprintf(w, "energy\t%s unknown: %s\n", e.Meter, e.Unknown)
		} else {
			fmt.Fprintf(w, "energy\t%s %.2f J a record\n", e.Meter, e.Joules/float64(t.Records*t.Repeats))
		}
	}
	if t.CostPerMillion > 0 {
		fmt.Fprintf(w, "cost\t%.2f of energy for a million records\n", t.CostPerMillion)
	}
	if len(t.Energy) == 0 {
		for _, why := range t.NoEnergy {
			fmt.Fprintf(w, "energy\tno meter: %s\n", why)
		}
	}
	fmt.Fprintf(w, "projected\t%s for Alpaca's 52,002 records\n", (time.Duration(t.Projected) * time.Second).String())
	return w.Flush()
}

// stageLine lists the stages in the order of a record's way.
func stageLine(shares map[string]float64) string {
	var parts []string
	for _, name := range []string{"read", "encode", "pack", "layout", "decode", "rows", "write"} {
		parts = append(parts, fmt.Sprintf("%s %.1f %%", name, 100*shares[name]))
	}
	return strings.Join(parts, ", ")
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// alone compares ratings of packed records with those of the same records alone.
func alone(c *cli.Context, e *engine.Engine, recs []*record.Record) error {
	d, err := bench.Alone(c.Context, e, recs)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, d)
	}
	_, err = fmt.Fprintf(c.App.Writer, "%d ratings, %d of them bit-identical; differences: median %.2g, 99 %% within %.2g, at most %.2g\n",
		d.Ratings, d.BitIdentical, d.P50, d.P99, d.Max)
	return err
}

// tune finds the fastest settings and saves them.
func tune(c *cli.Context, recs []*record.Record) error {
	for _, flag := range []string{"ubatch-size", "threads", "contexts", "flash-attn", "gpu-kernels"} {
		if c.IsSet(flag) {
			return usagef("--tune chooses --%s itself", flag)
		}
	}
	for _, flag := range []string{"repeats", "peak-tflops", "price-kwh"} {
		if c.IsSet(flag) {
			return usagef("--%s is for benchmarks without --tune", flag)
		}
	}
	o, err := engineOptions(c)
	if err != nil {
		return err
	}
	if err := checkCPU(); err != nil {
		return err
	}
	p, err := bench.Tune(c.Context, o, recs, func(t bench.Trial) {
		say(c.App.ErrWriter, "%-42s %8.2f records/s\n", t, t.RecordRate)
	})
	if err != nil {
		return modelError{err}
	}
	p.Version = version
	gpus, err := usable(o, ownGPUs(o))
	if err != nil {
		return err
	}
	path, err := p.Save(o.Model, o.GPULayers, kinds(gpus)...)
	if err != nil {
		return fmt.Errorf("save the profile: %w", err)
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, p)
	}
	best := bench.Trial{Batch: p.Batch, Contexts: p.Contexts, Threads: p.Threads, FlashAttention: p.FlashAttention, Matmul: p.Matmul}
	_, err = fmt.Fprintf(c.App.Writer, "%s: %.2f records/s, %.2f times the default\nsaved in %s\n", best, p.RecordRate, p.RecordRate/p.DefaultRate, path)
	return err
}

// readRecords reads up to n records into memory.
func readRecords(src source, n int) (recs []*record.Record, err error) {
	r, err := src.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for len(recs) < n {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		recs = append(recs, rec)
	}
	return recs, nil
}
