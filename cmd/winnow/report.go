package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/htmlreport"
	"winnow/grader/journal"
)

func reportCommand() *cli.Command {
	return &cli.Command{
		Name:      "report",
		Usage:     "show ratings as one HTML page, as Markdown or as a picture",
		ArgsUsage: "SCORES [DATA...]",
		Description: `Examples:
  winnow report scores.jsonl data.json -o report.html
  winnow report scores.jsonl data.json -o report.html --field source --audit audit.json
  winnow report scores.jsonl --markdown report.md --svg histogram.svg

The page is one file that loads nothing: open it in a browser, offline, or send it on. It
has the histogram with a cut that can be moved, and what it would keep; ratings by
length and, with DATA, by the first word of the instruction and by a field; the mean
distribution behind each rating; the reasons; a table of records that can be
searched; the manifest; and what winnow calibrate and winnow audit found, if their
files are given. Histograms, groups and quantiles are of all records; the table and
the dots are of a sample drawn by a hash of the records' content, --sample at most.

With DATA records are joined to ratings by content, and what the scores file does not
have is not_graded; without it there are no texts. Each turn of a conversation is a
record of its own. Equal inputs give equal files.

` + dataHelp,
		Flags: append(sourceFlags(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "HTML `FILE`; - for stdout"},
			&cli.StringFlag{Name: "markdown", Usage: "write the report as Markdown to `FILE`; - for stdout"},
			&cli.StringFlag{Name: "svg", Usage: "write the histogram as a picture to `FILE`; - for stdout"},
			&cli.Float64Flag{Name: "min", DefaultText: "a tenth of the scale below its highest: 4.5 of 0 to 5", Usage: "the cut at first: expected ratings of `X` and more are kept"},
			&cli.IntFlag{Name: "sample", Value: htmlreport.DefaultSample, Usage: fmt.Sprintf("show `N` records in the table, %d at most; each adds up to 2 kilobytes", htmlreport.MostSampled)},
			&cli.StringFlag{Name: "field", Usage: "compare the values of this member or column of DATA, such as source: `NAME`"},
			&cli.StringFlag{Name: "calibration", Usage: "show what winnow calibrate found: its `FILE`, or what its --json printed"},
			&cli.StringFlag{Name: "audit", Usage: "show what winnow audit found: `FILE` of what its --json printed"},
			&cli.BoolFlag{Name: "json", Usage: "print a summary as one line of JSON"},
		),
		OnUsageError: onUsageError,
		Action:       writeReport,
	}
}

// reportTargets are the files of a report, in the order of their flags.
func reportTargets(c *cli.Context) (list []place) {
	for _, flag := range []string{"output", "markdown", "svg"} {
		if path := c.String(flag); path != "" {
			list = append(list, place{flag, path})
		}
	}
	return list
}

func checkReport(c *cli.Context) ([]place, error) {
	targets := reportTargets(c)
	stdout := 0
	for _, t := range targets {
		if t.path == "-" {
			stdout++
		}
	}
	x, n := c.Float64("min"), c.Int("sample")
	switch {
	case c.NArg() == 0:
		return nil, usagef("report takes a scores file and perhaps data files, none given: winnow report SCORES [DATA...] -o FILE")
	case len(targets) == 0:
		return nil, usagef("report needs a file to write: -o FILE, --markdown FILE or --svg FILE")
	case stdout > 1:
		return nil, usagef("only one of -o, --markdown and --svg can go to stdout")
	case stdout == 1 && c.Bool("json"):
		return nil, usagef("a report on stdout leaves no room for --json")
	case math.IsNaN(x) || math.IsInf(x, 0):
		return nil, usagef("--min %g: want a finite number", x)
	case n < 0 || n > htmlreport.MostSampled:
		return nil, usagef("--sample %d: want 0 to %d", n, htmlreport.MostSampled)
	case c.IsSet("field") && c.String("field") == "":
		return nil, usagef("--field is empty: give the name of a member or column")
	case c.NArg() == 1 && c.IsSet("field"):
		return nil, usagef("--field %s is read from DATA: give a data file too", c.String("field"))
	}
	read := []place{{"SCORES", c.Args().First()}, {"--calibration", c.String("calibration")}, {"--audit", c.String("audit")}}
	for _, path := range c.Args().Tail() {
		read = append(read, place{"DATA", path})
	}
	written := make([]place, len(targets))
	for i, t := range targets {
		written[i] = place{"--" + t.flag, t.path}
	}
	for _, r := range read {
		if err := checkPlaces(append(slices.Clone(written), r)); err != nil {
			return nil, err
		}
	}
	return targets, checkPlaces(written)
}

func writeReport(c *cli.Context) error {
	targets, err := checkReport(c)
	if err != nil {
		return err
	}
	r, m, err := collectReport(c)
	if err != nil {
		return err
	}
	if r.Torn > 0 {
		say(c.App.ErrWriter, "%s: its last line is unfinished and is left out\n", c.Args().First())
	}
	for _, t := range targets {
		if err := writeTarget(c, t, r.Report); err != nil {
			return err
		}
	}
	return printReport(c, r.Report, m, targets)
}

// collected is a report with what reading the scores file showed.
type collected struct {
	*htmlreport.Report
	Torn int
}

func collectReport(c *cli.Context) (r collected, m journal.Manifest, err error) {
	o := htmlreport.Options{
		Name: filepath.Base(c.Args().First()), Limit: c.Int("limit"), Sample: c.Int("sample"), Field: c.String("field"),
	}
	if c.IsSet("min") {
		x := c.Float64("min")
		o.Min = &x
	}
	if path := c.String("calibration"); path != "" {
		if o.Calibration, err = htmlreport.ReadCalibration(path); err != nil {
			return r, m, err
		}
	}
	if path := c.String("audit"); path != "" {
		if o.Audit, err = htmlreport.ReadAudit(path); err != nil {
			return r, m, err
		}
	}
	if paths := c.Args().Tail(); len(paths) > 0 {
		src, err := newSource(c, paths)
		if err != nil {
			return r, m, err
		}
		defer src.close()
		src.options.Mixed = true // nothing is written in their layout
		o.Open = src.open
	} else {
		for _, f := range sourceFlags() {
			if name := f.Names()[0]; c.IsSet(name) {
				return r, m, usagef("--%s says how DATA is read: give a data file too", name)
			}
		}
	}
	m, index, err := journal.Read(c.Args().First())
	if err != nil {
		return r, m, err
	}
	r.Torn = index.Torn
	if o.Manifest, err = grader.ManifestPairs(m); err != nil {
		return r, m, err
	}
	r.Report, err = htmlreport.Collect(m, index, o)
	var cut *htmlreport.CutError
	if errors.As(err, &cut) {
		err = usagef("--min: %w", err)
	}
	return r, m, err
}

func writeTarget(c *cli.Context, t place, r *htmlreport.Report) error {
	out, err := createOutput(t.path, c.App.Writer)
	if err != nil {
		return err
	}
	defer out.discard()
	write := map[string]func(io.Writer) error{"output": r.HTML, "markdown": r.Markdown, "svg": r.SVG}[t.flag]
	if err := write(out); err != nil {
		return err
	}
	return out.commit()
}

// printReport says what the report is of, unless a report went to stdout.
func printReport(c *cli.Context, r *htmlreport.Report, m journal.Manifest, targets []place) error {
	if c.Bool("json") {
		files := map[string]string{}
		for _, t := range targets {
			kind := t.flag
			if kind == "output" {
				kind = "html"
			}
			files[kind] = t.path
		}
		return printJSON(c.App.Writer, struct {
			Kind    string            `json:"kind"`
			Records int               `json:"records"`
			Rated   int               `json:"rated"`
			Min     float64           `json:"min"`
			Kept    int               `json:"kept"`
			Sampled int               `json:"sampled"`
			Foreign int               `json:"foreign"`
			Files   map[string]string `json:"files"`
		}{"report", r.Records, r.Rated, r.Min, r.Kept, r.Sampled, r.Foreign, files})
	}
	p := comparePrinter{w: tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)}
	for _, t := range targets {
		if t.path == "-" {
			return nil
		}
	}
	p.line("judge\t%s", excerpt(m.Model.Name, 80))
	p.line("records\t%d, %d of them rated", r.Records, r.Rated)
	p.line("kept at %g\t%d", r.Min, r.Kept)
	if r.Foreign > 0 {
		p.line("not in the data\t%d entries of the scores file", r.Foreign)
	}
	for _, t := range targets {
		p.line("written\t%s", t.path)
	}
	return p.flush()
}
