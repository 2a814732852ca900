package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"winnow/grader/dedup"
)

func dedupFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "dedup", Value: string(dedup.Off), Usage: "drop all but the best rated of records that are alike, before --top counts: `off|exact|near`; exact: the same texts, near: nearly the same words in nearly the same order"},
		&cli.Float64Flag{Name: "dedup-threshold", Value: dedup.DefaultThreshold, Usage: fmt.Sprintf("with --dedup near: drop from a similarity of `J` on, %g to 1: the share of sequences of five words that two records have in common", dedup.MinThreshold)},
	}
}

func dedupOf(c *cli.Context) (dedup.Options, error) {
	o := dedup.Options{Mode: dedup.Mode(c.String("dedup"))}
	switch o.Mode {
	case dedup.Off, dedup.Exact, dedup.Near:
	default:
		return o, usagef("--dedup %s: want off, exact or near", o.Mode)
	}
	if !c.IsSet("dedup-threshold") {
		return o, nil
	}
	o.Threshold = c.Float64("dedup-threshold")
	if o.Mode != dedup.Near {
		return o, usagef("--dedup-threshold is for --dedup near, which is not asked for")
	}
	if !(o.Threshold >= dedup.MinThreshold && o.Threshold <= 1) { // NaN too
		return o, usagef("--dedup-threshold %g: want %g to 1", o.Threshold, dedup.MinThreshold)
	}
	return o, nil
}
