package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/data"
	"winnow/grader/journal"
)

func cardCommand() *cli.Command {
	return &cli.Command{
		Name:      "card",
		Usage:     "write a dataset card for a kept set",
		ArgsUsage: " ",
		Description: `Examples:
  winnow card --scores scores.jsonl --data data.json --kept kept.json -o README.md
  winnow card --scores scores.jsonl --data data.json --kept kept.json --rule '--min 4.5 --dedup near' \
    --license cc-by-nc-4.0 --language en --name 'Alpaca, kept' --evaluation evaluation.json -o README.md

The card is Markdown with a head in YAML, as the Hugging Face hub reads it: source and
kept files with their SHA-256, the judge with its rubrics, what was kept and how many
records have no rating, ratings, signals and lengths before and after, first verbs, the
calibration's evidence, the commands that make the set again, and limitations. Files are
named without their folders; there is no date, so the same files give the same card.

Kept records are joined to DATA by their content. One that DATA lacks ends the command.
A rule is stated as it was given with --rule; flags of winnow filter or winnow select stand in the
card's command as they are. Without --rule the card says whether a cut in the rating
explains what was kept.

` + dataHelp,
		Flags: append(dataFlags(),
			&cli.StringFlag{Name: "scores", Usage: "scores `FILE` of the data"},
			&cli.StringSliceFlag{Name: "data", Usage: "`DATA` file, or a pattern, that was rated; several with commas between, or several times"},
			&cli.StringSliceFlag{Name: "kept", Usage: "`KEPT` file that winnow filter or winnow select wrote, in any format"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, DefaultText: "stdout", Usage: "`FILE` of the card; - for stdout"},
			&cli.StringFlag{Name: "name", DefaultText: "that of KEPT", Usage: "`NAME` of the set"},
			&cli.StringFlag{Name: "license", DefaultText: "not stated", Usage: "licence, as the hub names it (cc-by-nc-4.0) or in other `TEXT`"},
			&cli.StringSliceFlag{Name: "language", DefaultText: "not stated", Usage: "`CODE` of the texts' language, such as en"},
			&cli.StringFlag{Name: "rule", Usage: "how the records were kept: `TEXT`, or the flags that were given"},
			&cli.StringFlag{Name: "turns", Value: string(grader.MinTurn), Usage: "a conversation's rating is that of its worst turn, the mean, or that of its last turn: `min|mean|last`"},
			&cli.StringFlag{Name: "calibration", Usage: "`FILE` of winnow calibrate that the scores were made with, for its evidence"},
			&cli.StringFlag{Name: "evaluation", Usage: "`FILE` with what winnow evaluate --json printed of this judge"},
			&cli.BoolFlag{Name: "json", Usage: "print the figures as one line of JSON; the card is written with -o alone"},
		),
		OnUsageError: onUsageError,
		Action:       card,
	}
}

// cardRun is one card in words of files and flags.
type cardRun struct {
	c          *cli.Context
	data, kept source
	scores     string
	text       grader.CardText
}

func card(c *cli.Context) error {
	r, err := newCardRun(c)
	if err != nil {
		return err
	}
	m, index, err := journal.Read(r.scores)
	if err != nil {
		return err
	}
	r.text.Manifest, r.text.Torn = m, index.Torn > 0
	if err := r.evidence(m); err != nil {
		return err
	}
	figures, err := grader.NewCard(grader.Judged{Ratings: index, Manifest: m}, grader.CardOptions{Data: r.data.open, Kept: r.kept.open, Turns: r.text.Turns})
	if err != nil {
		return err
	}
	if err := r.files(figures, index.Len()); err != nil {
		return err
	}
	out := c.String("output")
	if out == "" && !c.Bool("json") {
		out = "-"
	}
	if out != "" {
		if err := r.write(out, figures); err != nil {
			return err
		}
	}
	if !c.Bool("json") {
		return nil
	}
	return printJSON(c.App.Writer, struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
		*grader.Card
	}{"card", r.text.Name, figures})
}

func newCardRun(c *cli.Context) (*cardRun, error) {
	if c.NArg() > 0 {
		return nil, usagef("card takes no arguments: give --scores, --data and --kept")
	}
	for _, name := range []string{"scores", "data", "kept"} {
		if !c.IsSet(name) {
			return nil, usagef("card needs --%s: winnow card --help", name)
		}
	}
	if c.String("output") == "-" && c.Bool("json") {
		return nil, usagef("-o - leaves no room on stdout for --json")
	}
	r := &cardRun{c: c, scores: c.String("scores")}
	r.text = grader.CardText{
		Name: c.String("name"), License: c.String("license"), Languages: c.StringSlice("language"), Rule: strings.TrimSpace(c.String("rule")), Map: c.String("map"),
	}
	var err error
	if r.text.Turns, err = grader.ParseTurns(c.String("turns")); err != nil {
		return nil, usageError{fmt.Errorf("--turns: %w", err)}
	}
	for _, s := range []struct {
		flag string
		to   *source
	}{{"data", &r.data}, {"kept", &r.kept}} {
		paths := c.StringSlice(s.flag)
		if slices.Contains(paths, "-") {
			return nil, usagef("--%s is read more than once and cannot be stdin: give a file", s.flag)
		}
		if *s.to, err = newSource(c, paths); err != nil {
			return nil, err
		}
		s.to.options.Mixed = true // nothing is written in their layout
	}
	r.kept.options.Format = "" // --format is that of the data
	if r.text.Name == "" {
		r.text.Name, _, _ = data.SplitName(r.kept.paths[0])
		r.text.Name = filepath.Base(r.text.Name)
	}
	places := append(r.data.places(), place{"--scores", r.scores}, place{"-o", c.String("output")})
	for _, path := range r.kept.paths { // a set may be kept whole
		if sameFile(path, c.String("output")) {
			return nil, usagef("--kept and -o are the same file, %s", path)
		}
	}
	return r, checkPlaces(places)
}

// evidence reads what else is shown of the judge.
func (r *cardRun) evidence(m journal.Manifest) (err error) {
	if path := r.c.String("calibration"); path != "" {
		if r.text.Calibration, err = grader.ReadCardCalibration(path, m); err != nil {
			return err
		}
	}
	if path := r.c.String("evaluation"); path != "" {
		r.text.Evaluation, err = grader.ReadCardEvaluation(path, m)
	}
	return err
}

// files hashes what the card is of.
func (r *cardRun) files(figures *grader.Card, entries int) error {
	for _, list := range [][]grader.CardFile{figures.Files, figures.KeptFiles} {
		for i := range list {
			sum, err := hashFile(list[i].Name)
			if err != nil {
				return err
			}
			list[i].SHA256 = sum
		}
	}
	sum, err := hashFile(r.scores)
	if err != nil {
		return err
	}
	figures.Scores = grader.CardFile{Name: r.scores, SHA256: sum, Records: entries}
	return nil
}

// write puts the card where it belongs.
func (r *cardRun) write(path string, figures *grader.Card) error {
	out, err := createOutput(path, r.c.App.Writer)
	if err != nil {
		return err
	}
	defer out.discard()
	if err := figures.WriteMarkdown(out, r.text); err != nil {
		return err
	}
	if err := out.commit(); err != nil {
		return err
	}
	if path != "-" {
		say(r.c.App.ErrWriter, "%d of %d records kept\ncard: %s\n", figures.Kept, figures.Records, path)
	}
	return nil
}
