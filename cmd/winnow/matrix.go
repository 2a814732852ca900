package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"winnow/bench"
)

func recordsCommand() *cli.Command {
	return &cli.Command{
		Name:  "records",
		Usage: "write records of random words, of lengths like Alpaca's, as JSON lines",
		Description: `Example:
  winnow bench records --records 512 -o records.jsonl

Equal flags give equal bytes. They are the records that bench grades without --data.`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "records", Value: 64, Usage: "write `N` records"},
			&cli.StringFlag{Name: "lengths", Usage: "the lengths of the responses in words: `MEDIAN[,SIGMA]` of a log-normal distribution"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`NUMBER` that decides the words"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "-", Usage: "`FILE` to write"},
		},
		OnUsageError: onUsageError,
		Action:       syntheticRecords,
	}
}

func syntheticRecords(c *cli.Context) (err error) {
	if c.Args().Present() {
		return usagef("bench records takes no argument %q: give the file with -o", c.Args().First())
	}
	if c.Int("records") < 1 {
		return usagef("--records must be 1 or more")
	}
	lengths, err := bench.ParseLengths(c.String("lengths"))
	if err != nil {
		return usageError{err}
	}
	out, err := createOutput(c.String("output"), c.App.Writer)
	if err != nil {
		return err
	}
	defer out.discard()
	w := bufio.NewWriter(out.w)
	if err := bench.WriteSynthetic(w, c.Int("records"), lengths, c.Uint64("seed")); err != nil {
		return err
	}
	return errors.Join(w.Flush(), out.commit())
}

func matrixCommand() *cli.Command {
	return &cli.Command{
		Name:  "matrix",
		Usage: "measure many settings of one model that is loaded once, a line of JSON each",
		Description: `Example:
  winnow bench matrix -m model.gguf --cells 2048/int8,2048/cublas,1024/int8

A cell is the tokens of a batch and what a GPU's matrix products go through: int8,
cublas or cublas-f16; without it, the program chooses. Cells are measured in their
order, each is written as soon as it is known. One that fails has an "error". Each is
graded as often as --repeats says and once more, in turns with raw decoding.`,
		Flags: append(engineFlags(),
			&cli.StringFlag{Name: "cells", Usage: "`LIST` of TOKENS/PRODUCTS"},
			&cli.Float64Flag{Name: "seconds", Value: 1, Usage: "take so many records that a repeat grades for about `N` seconds"},
			&cli.IntFlag{Name: "records", Value: 4096, Usage: "but `N` records at most"},
			&cli.StringFlag{Name: "lengths", Usage: "the lengths of the responses in words: `MEDIAN[,SIGMA]` of a log-normal distribution"},
			&cli.IntFlag{Name: "repeats", Value: 2, Usage: "repeat `N` times, after one warm-up"},
			&cli.Float64Flag{Name: "peak-tflops", Usage: "what the hardware can do at best, in 10¹² operations a second, to state the share `X` that is reached"},
			&cli.Float64Flag{Name: "price-kwh", Usage: "`PRICE` of a kilowatt-hour, to state what a million records cost in energy"},
		),
		OnUsageError: onUsageError,
		Action:       runMatrix,
	}
}

func runMatrix(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("bench matrix takes no argument %q", c.Args().First())
	}
	if c.IsSet("ubatch-size") || c.IsSet("gpu-kernels") {
		return usagef("bench matrix takes --cells, not -ub and --gpu-kernels")
	}
	if !(c.Float64("seconds") > 0) || c.Int("records") < 1 || c.Int("repeats") < 1 || c.Float64("peak-tflops") < 0 || c.Float64("price-kwh") < 0 {
		return usagef("--seconds must be above 0, --records and --repeats 1 or more, --peak-tflops and --price-kwh not negative")
	}
	cells, err := bench.ParseCells(c.String("cells"))
	if err != nil {
		return usageError{err}
	}
	lengths, err := bench.ParseLengths(c.String("lengths"))
	if err != nil {
		return usageError{err}
	}
	recs, err := bench.Synthetic(c.Int("records"), lengths, 1)
	if err != nil {
		return err
	}
	o, err := engineOptions(c)
	if err != nil {
		return err
	}
	if err := checkCPU(); err != nil {
		return err
	}
	enc := json.NewEncoder(c.App.Writer)
	err = bench.Matrix(c.Context, o, cells, recs, bench.MatrixOptions{
		MeasureOptions: bench.MeasureOptions{Repeats: c.Int("repeats"), PeakFLOPRate: c.Float64("peak-tflops") * 1e12, PricePerKWh: c.Float64("price-kwh")},
		Time:           time.Duration(c.Float64("seconds") * float64(time.Second)),
	}, func(r bench.CellResult) error {
		if r.Throughput != nil {
			r.Version = version
		}
		return enc.Encode(r)
	})
	if err != nil && c.Context.Err() == nil {
		return modelError{err}
	}
	return err
}
