package main

import (
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"winnow/bench"
	"winnow/llama"
)

func modelsCommand() *cli.Command {
	return &cli.Command{
		Name:  "models",
		Usage: "work on model files",
		Action: func(c *cli.Context) error {
			return usagef("models needs a subcommand: winnow models quantize IN --to FORMAT -o OUT")
		},
		Subcommands: []*cli.Command{{
			Name:      "quantize",
			Usage:     "write a model in another weight format, or in the fastest one",
			ArgsUsage: "IN",
			Description: `Examples:
  winnow models quantize model-f16.gguf --to Q4_0 -o model-q4_0.gguf
  winnow models quantize model.gguf --to fastest -o model-fast.gguf

fastest tries ` + strings.Join(bench.FastFormats, ", ") + ` on this machine and keeps the winner. Weights that are
quantized already are decoded first: the error that they have stays.`,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "to", Usage: "`FORMAT`: fastest, " + strings.Join(llama.Formats(), ", ")},
				&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` to write"},
				&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, Usage: "CPU `THREADS`; 0: all cores that the process may use"},
			},
			OnUsageError: onUsageError,
			Action:       quantize,
		}},
	}
}

func quantize(c *cli.Context) error {
	if c.NArg() != 1 {
		return usagef("models quantize takes one model file, %d given", c.NArg())
	}
	in, out, format := c.Args().First(), c.String("output"), c.String("to")
	if format == "" || out == "" {
		return usagef("models quantize needs --to FORMAT and -o FILE")
	}
	if format != "fastest" && !slices.Contains(llama.Formats(), strings.ToUpper(format)) {
		return usagef("--to %s: want fastest or one of %s", format, strings.Join(llama.Formats(), ", "))
	}
	threads := c.Int("threads")
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	if _, err := os.Stat(in); err != nil {
		return modelError{err}
	}
	if sameFile(in, out) {
		return usagef("IN and -o are the same file, %s", out)
	}
	if format == "fastest" {
		rates, err := bench.Fastest(c.Context, in, out, threads)
		if err != nil {
			return modelError{err}
		}
		for _, r := range rates {
			say(c.App.ErrWriter, "%-6s %6.0f tokens/s\n", r.Format, r.Rate)
		}
		say(c.App.ErrWriter, "%s is the fastest here\n", rates[0].Format)
		return nil
	}
	part := out + ".part"
	if err := llama.Quantize(in, part, format, threads); err != nil {
		_ = os.Remove(part) // half a model is of no use
		return modelError{err}
	}
	return os.Rename(part, out)
}
