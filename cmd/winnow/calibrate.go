package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"winnow/grader/calibration"
	"winnow/grader/gold"
	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/grader/signal"
)

func calibrateCommand() *cli.Command {
	return &cli.Command{
		Name:      "calibrate",
		Usage:     "learn from labels what the ratings are worth",
		ArgsUsage: "LABELS",
		Description: `Examples:
  winnow grade data.json -m model.gguf --signals all,hidden -o scores.jsonl
  winnow calibrate labels.jsonl --data data.json --scores scores.jsonl -o model.cal.json
  winnow calibrate strong.jsonl --label score --min 4.5 --scores scores.jsonl -o model.cal.json
  winnow grade more.json -m model.gguf --calibration model.cal.json
  winnow calibrate --apply model.cal.json --scores scores.jsonl -o calibrated.jsonl

LABELS say of a few hundred records or more whether they are worth keeping: objects
with a label (--label; true or false, 0 or 1, or scores with --min) and the record's
key, its texts, or its index in --data. From a part of them each method learns the
probability that a record is to be kept, from what the scores file knows of it:
ratings alone, their distributions, signals, the hidden state. One is chosen by
cross-validation there; all are measured on the records held out.

It is accepted, and written, if on the hold-out it beats the rating itself (in AUC or
in log loss) and, among responses of like length, both chance and the length. If not,
the exit code is 1. The split depends on the records' texts and --seed alone.

--apply adds the probabilities to a scores file that has what the calibration reads,
without a model, in a new file.

Methods: ` + strings.Join(calibration.Methods(), ", ") + `.`,
		Flags: append(dataFlags(),
			&cli.StringFlag{Name: "scores", Usage: "scores `FILE` of the labelled records; best graded with --signals"},
			&cli.StringFlag{Name: "data", Usage: "`DATA` file, or a pattern: for labels that name records by index, and for the responses' lengths where the scores have no token counts"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` of the calibration; with --apply, of the new scores"},
			&cli.StringFlag{Name: "label", DefaultText: "the only one there is", Usage: "member `NAME` of the label"},
			&cli.Float64Flag{Name: "min", Usage: "labels are scores, and those of `X` and more say keep"},
			&cli.StringFlag{Name: "methods", Value: "all", Usage: "`LIST` of methods to choose from, with commas between"},
			&cli.IntFlag{Name: "folds", Value: 5, Usage: "choose by cross-validation with `N` folds"},
			&cli.Float64Flag{Name: "holdout", Value: 0.5, Usage: "hold out this `SHARE` of the labelled records"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`N` that the split, the folds and the intervals depend on"},
			&cli.IntFlag{Name: "resamples", Value: 1000, Usage: "take `N` resamples for the intervals"},
			&cli.BoolFlag{Name: "force", Usage: "write what is not accepted too, marked as such"},
			&cli.StringFlag{Name: "apply", Usage: "do not learn: add the probabilities of this calibration `FILE` to --scores"},
			&cli.BoolFlag{Name: "json", Usage: "print one line of JSON"},
		),
		OnUsageError: onUsageError,
		Action: func(c *cli.Context) error {
			if c.IsSet("apply") {
				return applyCalibration(c)
			}
			return calibrate(c)
		},
	}
}

// calibrateOptions are those of the command line.
func calibrateOptions(c *cli.Context) (o calibration.Options, err error) {
	o = calibration.Options{Folds: c.Int("folds"), Holdout: c.Float64("holdout"), Seed: c.Uint64("seed"), Resamples: c.Int("resamples")}
	switch {
	case c.NArg() != 1:
		return o, usagef("calibrate takes one file of labels, %d given: winnow calibrate LABELS --scores SCORES -o FILE", c.NArg())
	case c.String("scores") == "" || c.String("output") == "":
		return o, usagef("calibrate needs --scores SCORES and -o FILE")
	case o.Folds < 2 || o.Folds > 100:
		return o, usagef("--folds %d: want 2 to 100", o.Folds)
	case !(o.Holdout > 0 && o.Holdout < 1):
		return o, usagef("--holdout %g: want a share above 0 and below 1", o.Holdout)
	case o.Resamples < 2 || o.Resamples > 1_000_000:
		return o, usagef("--resamples %d: want 2 to 1000000", o.Resamples)
	case math.IsNaN(c.Float64("min")) || math.IsInf(c.Float64("min"), 0):
		return o, usagef("--min %g: want a finite number", c.Float64("min"))
	}
	if o.Methods, err = calibration.ParseMethods(c.String("methods")); err != nil {
		return o, usagef("--methods: %w", err)
	}
	for _, read := range []place{{"LABELS", c.Args().First()}, {"--scores", c.String("scores")}, {"--data", c.String("data")}} {
		if err := checkPlaces([]place{read, {"-o", c.String("output")}}); err != nil {
			return o, err
		}
	}
	return o, nil
}

func calibrate(c *cli.Context) error {
	o, err := calibrateOptions(c)
	if err != nil {
		return err
	}
	in, err := labelledOf(c, &o)
	if err != nil {
		return err
	}
	f, err := calibration.Train(c.Context, in, o)
	if err != nil {
		return err
	}
	path, written := c.String("output"), f.Accepted || c.Bool("force")
	if written {
		if err := writeCalibration(c, path, f); err != nil {
			return err
		}
	}
	if path != "-" || !written {
		if err := printCalibration(c, f, written); err != nil {
			return err
		}
	}
	if !written {
		return fmt.Errorf("not accepted, and %s is not written (--force writes it all the same): %s", path, f.Reason)
	}
	return nil
}

// labelledOf joins labels and scores.
func labelledOf(c *cli.Context, o *calibration.Options) (*calibration.Labelled, error) {
	path := c.Args().First()
	lo := gold.LabelOptions{Field: c.String("label")}
	if c.IsSet("min") {
		least := c.Float64("min")
		lo.Min = &least
	}
	if data := c.String("data"); data != "" {
		src, err := newSource(c, []string{data})
		if err != nil {
			return nil, err
		}
		defer src.close()
		src.options.Mixed = true // nothing is written in their layout
		lo.Open = src.open
	} else {
		for _, f := range dataFlags() {
			if name := f.Names()[0]; c.IsSet(name) {
				return nil, usagef("--%s says how --data is read: give --data too", name)
			}
		}
	}
	labels, err := gold.ReadLabels(path, lo)
	if err != nil {
		return nil, err
	}
	keep := make(map[record.Key]bool, len(labels))
	for _, l := range labels {
		if !l.Binary && lo.Min == nil {
			return nil, usagef("the labels of %s are scores: say with --min which of them mean keep", path)
		}
		keep[l.Key] = l.Keep
	}
	if o.LabelsSHA256, err = hashFile(path); err != nil {
		return nil, err
	}
	m, err := journal.ReadManifest(c.String("scores"))
	if err != nil {
		return nil, err
	}
	o.Lengths = "tokens"
	var lengths map[record.Key]float64
	if !slices.Contains(m.Signals, signal.ResponseTokens) && lo.Open != nil {
		o.Lengths = "characters"
		if lengths, err = lengthsOf(lo.Open, keep); err != nil {
			return nil, err
		}
	}
	return calibration.Load(c.String("scores"), keep, lengths)
}

// lengthsOf counts the characters of responses.
func lengthsOf(open func() (record.Source, error), keep map[record.Key]bool) (_ map[record.Key]float64, err error) {
	src, err := open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	lengths := make(map[record.Key]float64, len(keep))
	for {
		rec, err := src.Next()
		if errors.Is(err, io.EOF) {
			return lengths, nil
		}
		if err != nil {
			return nil, err
		}
		if _, ok := keep[rec.Key]; ok {
			lengths[rec.Key] = float64(utf8.RuneCountInString(rec.Response))
		}
	}
}

// hashFile returns the SHA-256 of a file's bytes as they are, compressed or not.
func hashFile(path string) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("hash file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash file: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func writeCalibration(c *cli.Context, path string, f *calibration.File) error {
	b, err := f.Bytes()
	if err != nil {
		return err
	}
	out, err := createOutput(path, c.App.Writer)
	if err != nil {
		return err
	}
	defer out.discard()
	if _, err := io.Copy(out, bytes.NewReader(b)); err != nil {
		return err
	}
	return out.commit()
}

// printCalibration prints the evidence.
func printCalibration(c *cli.Context, f *calibration.File, written bool) error {
	if c.Bool("json") {
		return printJSON(c.App.Writer, struct {
			Kind     string               `json:"kind"`
			Method   string               `json:"method"`
			Accepted bool                 `json:"accepted"`
			Reason   string               `json:"reason"`
			Written  bool                 `json:"written"`
			Evidence calibration.Evidence `json:"evidence"`
		}{"calibration_report", f.Method, f.Accepted, f.Reason, written, f.Evidence})
	}
	e := &f.Evidence
	p := comparePrinter{w: tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)}
	p.line("labels\t%d\twithout an entry %d\twithout a rating %d", e.Labels, e.Unknown, e.Unrated)
	p.line("learned on\t%d records\t%d to keep", e.Train.Records, e.Train.Keep)
	p.line("measured on\t%d records\t%d to keep", e.Holdout.Records, e.Holdout.Keep)
	p.line("\nMETHOD\tCV AUC\tAUC\tWITHIN LENGTH\tLOG LOSS\tERROR\tAUC − RATING'S")
	for _, r := range e.Methods {
		mark := ""
		if r.Method == f.Method && !r.Baseline {
			mark = " *"
		}
		p.line("%s%s\t%s\t%s\t%s\t%s\t%s\t%s", r.Method, mark, short(r.TrainAUC), interval(r.AUC), interval(r.WithinAUC), interval(r.LogLoss), short(r.Calibration), interval(r.OverRating))
	}
	p.line("\n* chosen by %d-fold cross-validation (CV) on what was learned on; all other figures are of the hold-out. The first ones are baselines.", e.Folds)
	p.line("WITHIN LENGTH: AUC of pairs in one of five bands of length (%s). ERROR: expected calibration error. Intervals: 95 %%, %d resamples.", e.Lengths, e.Resamples)
	p.line("\nBIN\tRATING\tRECORDS\tKEPT\tPROBABILITY\tRECORDS\tKEPT")
	for i, a := range e.After {
		b := e.Before[i]
		p.line("%.1f–%.1f\t%s\t%d\t%s\t%s\t%d\t%s", float64(i)/float64(len(e.After)), float64(i+1)/float64(len(e.After)),
			short(b.Mean), b.Records, short(b.Kept), short(a.Mean), a.Records, short(a.Kept))
	}
	verdict := "not accepted"
	if f.Accepted {
		verdict = "accepted"
	}
	p.line("\n%s: %s", verdict, f.Reason)
	return p.flush()
}

// short is a figure of three places; one that is undefined is a dash.
func short(f calibration.Figure) string {
	if math.IsNaN(float64(f)) {
		return "-"
	}
	return fmt.Sprintf("%.3f", float64(f))
}

func interval(e calibration.Estimate) string {
	if math.IsNaN(float64(e.Value)) {
		return "-"
	}
	return fmt.Sprintf("%s [%s, %s]", short(e.Value), short(e.Low), short(e.High))
}

// readCalibration reads a calibration that is to be used.
func readCalibration(path string) (*calibration.File, error) {
	f, err := calibration.Read(path)
	if err != nil {
		return nil, err
	}
	if !f.Accepted {
		slog.Warn("this calibration was not accepted when it was learned", "path", path, "reason", f.Reason)
	}
	return f, nil
}

// applyCalibration writes a scores file with probabilities.
func applyCalibration(c *cli.Context) error {
	from, to := c.String("scores"), c.String("output")
	switch {
	case c.NArg() > 0:
		return usagef("--apply takes no labels: winnow calibrate --apply FILE --scores SCORES -o FILE")
	case from == "" || to == "" || to == "-":
		return usagef("--apply needs --scores SCORES and -o FILE, another scores file")
	}
	for _, f := range c.LocalFlagNames() {
		if !slices.Contains([]string{"apply", "scores", "output", "o", "json"}, f) {
			return usagef("--%s says how to learn, and --apply does not learn", f)
		}
	}
	if err := checkScores("-o", to); err != nil {
		return err
	}
	if err := checkPlaces([]place{{"--apply", c.String("apply")}, {"--scores", from}, {"-o", to}}); err != nil {
		return err
	}
	f, err := readCalibration(c.String("apply"))
	if err != nil {
		return err
	}
	done, err := calibration.Apply(c.Context, f, from, to)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, struct {
			Kind string `json:"kind"`
			calibration.Applied
		}{"summary", *done})
	}
	if done.Torn > 0 {
		say(c.App.ErrWriter, "%s: its last line is unfinished and is left out\n", from)
	}
	say(c.App.ErrWriter, "%d entries, %d with a probability, in %s\n", done.Entries, done.Calibrated, to)
	return nil
}
