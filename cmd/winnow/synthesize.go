package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"winnow/bench/synthetic"
)

func synthesizeCommand() *cli.Command {
	return &cli.Command{
		Name:      "synthesize",
		Usage:     "write a model of a real shape with random weights, to measure throughput without the real ones",
		ArgsUsage: "SHAPE",
		Description: `Examples:
  winnow bench synthesize --list
  winnow bench synthesize llama-3.1-8b --to Q8_0 -o 8b.gguf
  winnow bench -m 8b.gguf --data data.json

Every matrix has the size and the type that it has in the real model's file.
What such a model answers is noise.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "list", Usage: "list the shapes, with weights and the size of each format"},
			&cli.StringFlag{Name: "to", Usage: "`FORMAT`: " + strings.Join(synthetic.Formats(), ", ")},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write"},
			&cli.Uint64Flag{Name: "seed", Usage: "`NUMBER` that decides the weights"},
		},
		OnUsageError: onUsageError,
		Action:       synthesize,
	}
}

func synthesize(c *cli.Context) error {
	if c.Bool("list") {
		return listShapes(c)
	}
	if c.NArg() != 1 {
		return usagef("bench synthesize takes one shape, %d given: --list shows them", c.NArg())
	}
	shape, err := synthetic.Find(c.Args().First())
	if err != nil {
		return usageError{err}
	}
	out, format := c.String("output"), strings.ToUpper(c.String("to"))
	if format == "" || out == "" {
		return usagef("bench synthesize needs --to FORMAT and -o FILE")
	}
	if !slices.Contains(synthetic.Formats(), format) {
		return usagef("--to %s: want one of %s", c.String("to"), strings.Join(synthetic.Formats(), ", "))
	}
	p := newProgress(c.App.ErrWriter)
	defer p.stop()
	return synthetic.Write(c.Context, out, shape, format, synthetic.Options{Seed: c.Uint64("seed"), Progress: p.bytes(time.Now())})
}

func listShapes(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("bench synthesize --list takes no argument %q", c.Args().First())
	}
	w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "SHAPE\tPARAMETERS\t%s\n", strings.Join(synthetic.Formats(), "\t"))
	for _, s := range synthetic.Shapes() {
		fmt.Fprintf(w, "%s\t%.0f M", s.Name, float64(s.Params())/1e6)
		for _, format := range synthetic.Formats() {
			fmt.Fprintf(w, "\t%.2f GB", float64(s.Bytes(format))/1e9)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// bytes returns the function to call when more of a file is written: it tells
// how much, as often as of records.
func (p *progress) bytes(start time.Time) func(done, total int64) {
	p.last = start
	return func(done, total int64) {
		interval := quietInterval
		if p.terminal {
			interval = 100 * time.Millisecond
		}
		now := time.Now()
		if now.Sub(p.last) < interval {
			return
		}
		p.last = now
		line := fmt.Sprintf("%.1f of %.1f GB, %.0f MB/s", float64(done)/1e9, float64(total)/1e9, float64(done)/1e6/now.Sub(start).Seconds())
		if p.terminal {
			say(p.w, "\r%s\x1b[K", line)
		} else {
			say(p.w, "%s\n", line)
		}
		p.shown = true
	}
}
