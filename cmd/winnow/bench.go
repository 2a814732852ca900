package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"winnow/bench"
	"winnow/grader/record"
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:  "bench",
		Usage: "measure the grading rate beside the raw rate of llama_decode",
		Description: `Example:
  winnow bench -m model.gguf --data data.json --records 256

Grading and raw decoding run in turns. Run it while nothing else runs: rates are
medians, and the spread tells how quiet the machine was.`,
		Flags: append(append(engineFlags(), sourceFlags()...),
			&cli.StringFlag{Name: "data", Usage: "`FILE` of records"},
			&cli.IntFlag{Name: "records", Value: 64, Usage: "grade the first `N` records"},
			&cli.IntFlag{Name: "repeats", Value: 5, Usage: "repeat `N` times, after one warm-up"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
		),
		OnUsageError: onUsageError,
		Subcommands:  []*cli.Command{synthesizeCommand()},
		Action:       runBench,
	}
}

func runBench(c *cli.Context) (err error) {
	if c.Args().Present() {
		return usagef("bench takes no argument %q: give the records with --data", c.Args().First())
	}
	if c.String("data") == "" {
		return usagef("bench needs records: give them with --data FILE")
	}
	if c.Int("records") < 1 || c.Int("repeats") < 1 {
		return usagef("--records and --repeats must be 1 or more")
	}
	o, err := engineOptions(c)
	if err != nil {
		return err
	}
	fields, err := record.ParseFields(c.String("map"))
	if err != nil {
		return usageError{err}
	}
	recs, err := readRecords(c.String("data"), record.Options{Fields: fields, MaxBytes: c.Int("max-record-bytes")}, c.Int("records"))
	if err != nil {
		return err
	}
	if len(recs) == 0 {
		return fmt.Errorf("%s has no records: give a file that has some", c.String("data"))
	}
	if len(recs) < c.Int("records") {
		slog.Warn("the file has fewer records than asked for", "records", len(recs))
	}
	e, err := openEngine(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	t, err := bench.Measure(c.Context, e, recs, c.Int("repeats"))
	if err != nil {
		return err
	}
	t.Version = version
	if c.Bool("json") {
		return printJSON(c.App.Writer, t)
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "machine\t%s\n", t.Machine)
	fmt.Fprintf(w, "model\t%s (%s), %s\n", t.Model, t.Format, t.Device)
	fmt.Fprintf(w, "settings\tbatches of %d tokens, %d threads, %d repeats\n", t.Batch, t.Threads, t.Repeats)
	fmt.Fprintf(w, "work\t%d records, %d tokens\n", t.Records, t.Tokens)
	fmt.Fprintf(w, "raw\t%.1f tokens/s (spread %.0f %%)\n", t.RawRate, 100*t.RawSpread)
	fmt.Fprintf(w, "grading\t%.1f tokens/s (spread %.0f %%), %.2f records/s\n", t.GradingRate, 100*t.GradingSpread, t.RecordRate)
	fmt.Fprintf(w, "efficiency\t%.3f grading ÷ raw\n", t.Efficiency)
	return w.Flush()
}

// readRecords reads up to n records into memory.
func readRecords(path string, o record.Options, n int) (recs []*record.Record, err error) {
	r, err := record.Open(path, o)
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
