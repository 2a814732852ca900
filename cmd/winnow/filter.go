package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/data"
	"winnow/grader/dedup"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/selection"
	"winnow/grader/verdict"
)

func filterCommand() *cli.Command {
	return &cli.Command{
		Name:      "filter",
		Usage:     "keep the records that are rated well enough",
		ArgsUsage: "DATA...",
		Description: `Examples:
  winnow filter data.json -m model.gguf --min 4.5 -o kept.json
  winnow filter data.json --scores scores.jsonl --top 9000 -o kept.json
  winnow filter data.json --scores scores.jsonl --top 9000 --dedup near -o kept.json
  winnow filter data.json --cascade small.gguf,large.gguf --min 4.5 --agreement 0.95 -o kept.json
  winnow filter data.json --scores scores.jsonl --where 'rating >= 4 && ifd < 1 && length < 2048' -o kept.json

With a model, records that the scores file does not have yet are graded first.
With --scores alone nothing is graded and no model is needed. What is kept
leaves in the file's own form, byte for byte, or in the format that --to names. A
conversation is kept or dropped as a whole: --turns says what its turns' ratings
come to.

` + whereHelp + `

` + cascadeHelp + `

` + dataHelp + `

Without -o the files are named after the first DATA, in the current folder:
DATA.kept and DATA.dropped with its extension, or with that of --to. Files whose
names end with .gz or .zst are compressed.`,
		Flags:        slices.Concat(sourceFlags(), rejectFlags(), ruleFlags(), dedupFlags(), gradingFlags(), cascadeFlags(), outputFlags()),
		OnUsageError: onUsageError,
		Action:       filter,
	}
}

func ruleFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Float64Flag{Name: "min", Value: verdict.DefaultMin, DefaultText: fmt.Sprintf("%g, if there is no --top or --where either", verdict.DefaultMin), Usage: "keep expected ratings of `X` and more"},
		&cli.Float64Flag{Name: "min-prob", DefaultText: "not asked", Usage: "keep if the probability of a rating of --min or more is at least `Q`"},
		&cli.IntFlag{Name: "top", DefaultText: "not asked", Usage: "keep the `N` best"},
		&cli.Float64Flag{Name: "top-percent", DefaultText: "not asked", Usage: "keep the best `P` percent of the rated records"},
		whereFlag(),
		&cli.StringFlag{Name: "by", DefaultText: "rating", Usage: "order the records of --top and --top-percent by the number `EXPR`, higher first"},
		&cli.StringFlag{Name: "turns", Value: string(grader.MinTurn), Usage: "a conversation's rating is that of its worst turn, the mean, or that of its last turn: `min|mean|last`"},
	}
}

// ruleOf returns the rule of the flags, but for their expressions.
func ruleOf(c *cli.Context) verdict.Rule {
	float := func(name string) *float64 {
		if !c.IsSet(name) {
			return nil
		}
		x := c.Float64(name)
		return &x
	}
	r := verdict.Rule{Min: float("min"), MinProb: float("min-prob"), TopPercent: float("top-percent")}
	if c.IsSet("top") {
		n := c.Int("top")
		r.Top = &n
	}
	return r
}

func filter(c *cli.Context) error { return filterOrSelect(c, selection.Options{}) }

// filterOrSelect keeps what the rule keeps and, if anything is to be picked, of that what
// is picked.
func filterOrSelect(c *cli.Context, pick selection.Options) error {
	src, err := sourceOf(c)
	if err != nil {
		return err
	}
	defer src.close()
	turns, err := grader.ParseTurns(c.String("turns"))
	if err != nil {
		return usageError{fmt.Errorf("--turns: %w", err)}
	}
	if err := checkExpressions(c); err != nil {
		return err
	}
	if err := checkCascade(c, []string{"where", "by", "min-prob", "top"}, nil); err != nil {
		return err
	}
	alike, err := dedupOf(c)
	if err != nil {
		return err
	}
	f := &filterRun{c: c, turns: turns, dedup: alike, pick: pick, kept: c.String("output"), dropped: c.String("dropped"), scores: c.String("scores")}
	ext := src.ext()
	if to := c.String("to"); to != "" {
		if f.layout, err = data.ConvertTo(to); err != nil {
			return usagef("--to: %w", err)
		}
		ext = "." + to
		src.options.Mixed = true // nothing is written in their layout
	}
	f.src = src
	if f.kept == "" {
		f.kept = src.stem() + ".kept" + ext
		if f.dropped == "" {
			f.dropped = src.stem() + ".dropped" + ext
		}
	}
	if f.scores == "" {
		f.scores = src.stem() + ".scores.jsonl"
	}
	if err := f.checkPaths(); err != nil {
		return err
	}
	index, err := f.ratings()
	if err != nil {
		return err
	}
	report, err := f.decide(index)
	if err != nil {
		return err
	}
	if report.Review > 0 {
		return ungradedError{report.Review}
	}
	return nil
}

// filterRun is one filter command in words of files and flags.
type filterRun struct {
	c                     *cli.Context
	src                   source
	turns                 grader.Turns
	dedup                 dedup.Options
	pick                  selection.Options // what of the kept records is picked
	by                    *verdict.Order    // of the picks; known when the rule is
	rule                  verdict.Rule      // known when the scores file's manifest is
	scores, kept, dropped string
	layout                record.Layout // of kept and dropped; nil for the source's own
}

// checkPaths refuses to write what is read, and one file twice.
func (f *filterRun) checkPaths() error {
	written := []place{{"-o", f.kept}, {"--dropped", f.dropped}, {"--rejects", f.src.rejects}}
	stdout := ""
	for _, p := range written {
		switch {
		case p.path != "-":
		case stdout != "":
			return usagef("%s and %s cannot both go to stdout", stdout, p.flag)
		case p.flag != "--dropped" && (f.c.Bool("table") || f.c.Bool("json")):
			return usagef("%s - leaves no room on stdout for --table or --json", p.flag)
		default:
			stdout = p.flag
		}
	}
	if err := checkScores("--scores", f.scores); err != nil {
		return err
	}
	return checkPlaces(append(append(f.src.places(), place{"--scores", f.scores}), written...))
}

// ratings returns the scores file's index, graded up to date if a model is
// meant. Grading keeps no ratings in memory: the file is read when it is over.
func (f *filterRun) ratings() (*journal.Index, error) {
	if f.c.IsSet("cascade") {
		if err := f.cascade(); err != nil {
			return nil, err
		}
	} else if !f.pick.On() && (!f.c.IsSet("scores") || f.c.IsSet("model")) {
		run, err := newGradeRun(f.c, f.src, f.scores)
		if err != nil {
			return nil, err
		}
		if !f.c.IsSet("where") {
			if err := ruleOf(f.c).Validate(run.engine.Rubrics[0].Scale); err != nil {
				return nil, usageError{err} // before a model is loaded
			}
		}
		run.accept = f.compile // before hours of grading
		if _, err := run.grade(f.c.Context); err != nil {
			return nil, err
		}
	} else if f.c.String("calibration") != "" {
		return nil, usagef("--calibration needs a model to grade with: give -m, or add the probabilities to --scores with winnow calibrate --apply")
	} else if f.src.rejects != "" || f.src.strict {
		if _, err := f.src.scan(); err != nil {
			return nil, err
		}
	}
	ok, err := exists(f.scores)
	if err != nil {
		return nil, err
	}
	if !ok && f.pick.On() {
		return nil, fmt.Errorf("scores file %s is missing or empty: grade first, with winnow grade", f.scores)
	}
	if !ok {
		return nil, fmt.Errorf("scores file %s is missing or empty: grade first, or give a model with -m", f.scores)
	}
	m, err := journal.ReadManifest(f.scores)
	if err != nil {
		return nil, err
	}
	if err := f.compile(m); err != nil {
		return nil, err
	}
	_, index, err := journal.Read(f.scores)
	return index, err
}

// compile makes the rule, whose expressions name what a journal with this manifest has.
func (f *filterRun) compile(m journal.Manifest) (err error) {
	r := ruleOf(f.c)
	if f.c.IsSet("cascade") {
		if r, err = cascadeRule(m); err != nil {
			return err
		}
	} else if r.Where, r.By, err = expressions(f.c, grader.Vocabulary(m)); err != nil {
		return err
	}
	if f.pick.On() {
		r, f.by = pickRule(r, m.Scale.Values[0])
	}
	if err := r.Validate(rating.Scale(m.Scale)); err != nil {
		return usageError{err}
	}
	f.rule = r
	return nil
}

// decide writes the kept and dropped records and what is printed about them.
func (f *filterRun) decide(index *journal.Index) (_ *grader.Report, err error) {
	o := grader.FilterOptions{Rule: f.rule, Turns: f.turns, Dedup: f.dedup, Pick: f.pick, By: f.by, Limit: f.src.limit, Layout: f.layout}
	kept, err := createOutput(f.kept, f.c.App.Writer)
	if err != nil {
		return nil, err
	}
	defer kept.discard()
	o.Kept = kept
	var dropped *output
	if f.dropped != "" {
		if dropped, err = createOutput(f.dropped, f.c.App.Writer); err != nil {
			return nil, err
		}
		defer dropped.discard()
		o.Dropped = dropped
	}
	var t *table
	if f.c.Bool("table") {
		t = newTable(f.c.App.Writer, index.Criteria())
		o.Visit = func(rec *record.Record, e journal.Entry, v verdict.Verdict) { t.add(rec, e, v) }
	}
	rep, err := grader.Filter(f.src.open, index, o)
	if err != nil {
		return nil, err
	}
	// The dropped file first: a kept file that is there says that all is done.
	if dropped != nil {
		if err := dropped.commit(); err != nil {
			return nil, err
		}
	}
	if err := kept.commit(); err != nil {
		return nil, err
	}
	if t != nil {
		if err := t.flush(); err != nil {
			return nil, err
		}
	}
	return rep, f.print(rep)
}

// print writes the summary: JSON is a result, text is talk.
func (f *filterRun) print(r *grader.Report) error {
	if f.c.Bool("json") {
		return r.WriteJSON(f.c.App.Writer)
	}
	w := f.c.App.ErrWriter
	err := r.WriteText(w, 72)
	for _, p := range []struct{ what, path string }{{"kept", f.kept}, {"dropped", f.dropped}, {"rejects", f.src.rejects}, {"scores", f.scores}} {
		if p.path != "" && p.path != "-" {
			_, werr := fmt.Fprintf(w, "%s: %s\n", p.what, p.path)
			err = errors.Join(err, werr)
		}
	}
	return err
}
