package main

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/data"
	"winnow/grader/gold"
	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/grader/rubric"
	"winnow/grader/verdict"
)

func evaluateCommand() *cli.Command {
	return &cli.Command{
		Name:      "evaluate",
		Usage:     "say how well a judge foretells labels, or tells the better of two responses",
		ArgsUsage: "GOLD",
		Description: `Examples:
  winnow evaluate labels.jsonl --data data.json -m model.gguf
  winnow evaluate labels.jsonl --label kept --data data.json --scores scores.jsonl
  winnow evaluate pairs.json -m model.gguf
  winnow evaluate pairs.json -m model.gguf --rubric pairwise --json

GOLD is a JSON list of objects, or one a line. Labels have a member that is true or
false, 0 or 1, or a score; the record is named by its "key", by its texts
(instruction, input, output), or by its "index" in DATA, counted from 0. Pairs have
instruction, input, response_a, response_b and better, which is a, b or tie; LLMBar's
files and PandaLM's test set are read as they are.

With a model, the labelled records or the responses of the pairs are graded first, as
far as the scores file does not have them. With --scores alone nothing is graded and
no model is needed. A rubric that compares two responses sees each pair in both orders.

Printed are, for the rating, each criterion, the calibrated probability, each signal
and, to compare with, the length of the response: how well it orders the records (AUC,
or rank correlations with scores); what --cut keeps; how true the probabilities are;
and the AUC among records of about the same length, since length alone foretells much.
A number that is high where records are bad has an AUC below 0.5 and is shown so.

--half B with the seed that winnow calibrate had is what it held out, if that was half.

Intervals are of 95 %, by percentile bootstrap over records, or pairs, with a fixed
seed.`,
		Flags: append(append(gradingFlags(), dataFlags()...),
			&cli.StringFlag{Name: "data", Usage: "`DATA` file, or a pattern, that has the labelled records; needless if GOLD has their texts"},
			&cli.StringFlag{Name: "scores", Usage: "scores `FILE` (default: the name of DATA, or else of GOLD, with .scores.jsonl, in the current folder)"},
			&cli.StringFlag{Name: "label", DefaultText: "the only one that can be", Usage: "`MEMBER` of GOLD's objects that is the label"},
			&cli.Float64Flag{Name: "min", Usage: "records with a score of `X` and more in GOLD are worth keeping"},
			&cli.Float64Flag{Name: "cut", Value: verdict.DefaultMin, Usage: "the judge keeps ratings of `X` and more"},
			&cli.Float64Flag{Name: "probability", Value: 0.5, Usage: "and calibrated probabilities of `P` and more"},
			&cli.Float64Flag{Name: "tie", Usage: "of a pair, ratings that differ by at most `X` are a tie; with a rubric that compares two responses, log-odds"},
			&cli.StringFlag{Name: "half", Usage: "only half of the gold, `A|B`, chosen by content and --seed"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`N` for --half"},
			&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "only the first `N` labels or pairs"},
			&cli.IntFlag{Name: "resamples", DefaultText: "1000; of more than 10,000 records fewer, but at least 100", Usage: "take `N` resamples for the intervals"},
			&cli.BoolFlag{Name: "json", Usage: "print one line of JSON"},
		),
		OnUsageError: onUsageError,
		Action:       evaluate,
	}
}

// evaluateRun is one evaluation in words of files and flags.
type evaluateRun struct {
	c       *cli.Context
	gold    string
	data    *source // nil if there is none
	scores  string
	options grader.EvaluateOptions
}

// evaluation is what is printed.
type evaluation struct {
	Kind      string                  `json:"kind"`
	Gold      evaluatedGold           `json:"gold"`
	Judge     evaluatedJudge          `json:"judge"`
	Labels    *grader.LabelEvaluation `json:"labels,omitempty"`
	Pairs     *grader.PairEvaluation  `json:"pairs,omitempty"`
	Published []grader.Published      `json:"published_elsewhere,omitempty"`
	Source    string                  `json:"published_source,omitempty"`
}

// evaluatedGold is what the judge is measured by.
type evaluatedGold struct {
	Path   string   `json:"path"`
	Kind   string   `json:"kind"`
	Format string   `json:"format,omitempty"` // of pairs
	Label  string   `json:"label,omitempty"`  // that --label names
	Min    *float64 `json:"min,omitempty"`    // of scores
	Half   string   `json:"half,omitempty"`
	Seed   *uint64  `json:"seed,omitempty"` // of the half
}

// evaluatedJudge is what is measured.
type evaluatedJudge struct {
	Scores   string   `json:"scores"`
	Model    string   `json:"model"`
	Criteria []string `json:"criteria"`
	Torn     int      `json:"torn_bytes"`
}

func evaluate(c *cli.Context) error {
	run, err := newEvaluateRun(c)
	if err != nil {
		return err
	}
	if run.data != nil {
		defer run.data.close()
	}
	kind, err := gold.Detect(run.gold)
	if err != nil {
		return err
	}
	out := &evaluation{Kind: "evaluation", Gold: evaluatedGold{Path: run.gold, Kind: string(kind), Label: c.String("label"), Half: c.String("half")}}
	if out.Gold.Half != "" {
		seed := c.Uint64("seed")
		out.Gold.Seed = &seed
	}
	unrated := 0
	if kind == gold.Paired {
		unrated, err = run.pairs(out)
	} else {
		unrated, err = run.labels(out)
	}
	if err != nil {
		return err
	}
	if err := out.print(c); err != nil {
		return err
	}
	if unrated > 0 {
		return unratedGoldError{ungradedError{unrated}}
	}
	return nil
}

// unratedGoldError is an ungradedError that counts labels or pairs.
type unratedGoldError struct{ ungradedError }

func (e unratedGoldError) Error() string {
	return fmt.Sprintf("%d labels or pairs are left out: the judge has no rating for them", e.records)
}

func (e unratedGoldError) Unwrap() error { return e.ungradedError }

func newEvaluateRun(c *cli.Context) (*evaluateRun, error) {
	if c.NArg() != 1 {
		return nil, usagef("evaluate takes one file of labels or pairs, %d given: winnow evaluate GOLD", c.NArg())
	}
	for _, name := range []string{"min", "cut", "probability", "tie"} {
		if x := c.Float64(name); math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, usagef("--%s %g: want a finite number", name, x)
		}
	}
	half := c.String("half")
	switch {
	case c.Args().First() == "-":
		return nil, usagef("GOLD is read more than once and cannot be stdin: give a file")
	case c.Float64("tie") < 0:
		return nil, usagef("--tie %g: want 0 or more", c.Float64("tie"))
	case half != "" && half != "A" && half != "B":
		return nil, usagef("--half %s: want A or B", half)
	case half == "" && c.IsSet("seed"):
		return nil, usagef("--seed chooses the halves: give --half too")
	case c.Int("limit") < 0:
		return nil, usagef("--limit %d: want 0 or more", c.Int("limit"))
	case c.IsSet("resamples") && (c.Int("resamples") < 2 || c.Int("resamples") > 1_000_000):
		return nil, usagef("--resamples %d: want 2 to 1000000", c.Int("resamples"))
	}
	r := &evaluateRun{c: c, gold: c.Args().First(), scores: c.String("scores"), options: grader.EvaluateOptions{
		Cut: c.Float64("cut"), Probability: c.Float64("probability"), Tie: c.Float64("tie"), Resamples: c.Int("resamples"), Keep: c.IsSet("min"),
	}}
	places := []place{{"GOLD", r.gold}}
	stem, _, _ := data.SplitName(r.gold)
	if path := c.String("data"); path != "" {
		src, err := newSource(c, []string{path})
		if err != nil {
			return nil, err
		}
		src.limit = 0 // --limit counts labels
		src.options.Mixed = true
		r.data, stem = &src, src.stem()
		places = append(places, src.places()...)
	} else {
		for _, f := range dataFlags() {
			if name := f.Names()[0]; c.IsSet(name) {
				return nil, usagef("--%s says how --data is read: give --data too", name)
			}
		}
	}
	if r.scores == "" {
		r.scores = stem + ".scores.jsonl"
	}
	if err := checkScores("--scores", r.scores); err != nil {
		return nil, err
	}
	for _, p := range places { // labels may stand in the data itself
		if err := checkPlaces([]place{p, {"--scores", r.scores}}); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// half returns which half of the gold is asked for, if one is.
func (r *evaluateRun) half() (half int, asked bool) {
	return strings.Index("AB", r.c.String("half")), r.c.String("half") != ""
}

// labels evaluates by labels and returns how many of them have no rating.
func (r *evaluateRun) labels(out *evaluation) (unrated int, err error) {
	o := gold.LabelOptions{Field: r.c.String("label")}
	if r.c.IsSet("min") {
		least := r.c.Float64("min")
		o.Min, out.Gold.Min = &least, &least
	}
	if r.data != nil {
		o.Open = r.data.open
	}
	labels, err := gold.ReadLabels(r.gold, o)
	if err != nil {
		return 0, err
	}
	if half, asked := r.half(); asked {
		labels = labels.Half(half, r.c.Uint64("seed"))
	}
	if n := r.c.Int("limit"); n > 0 && n < len(labels) {
		labels = labels[:n]
	}
	src := labelled{labels: labels, data: o.Open}
	if src.data == nil {
		texts, err := gold.Texts(r.gold)
		if err != nil {
			return 0, err
		}
		if len(texts) > 0 {
			src.data = madeRecords(texts).open
		}
	}
	judge, err := r.judge(src, out, func(rubrics []rubric.Rubric) (gradeSource, error) {
		if src.data == nil {
			return nil, usagef("%s names its records by key alone: give their texts with --data, or the scores with --scores", r.gold)
		}
		return src, singleResponse(rubrics)
	})
	if err != nil {
		return 0, err
	}
	var chars map[record.Key]int
	if src.data != nil {
		if chars, err = gold.Lengths(src.data, labels); err != nil {
			return 0, err
		}
	}
	if out.Labels, err = grader.EvaluateLabels(r.c.Context, labels, chars, judge, r.options); err != nil {
		return 0, err
	}
	return out.Labels.Labels - out.Labels.Rated, nil
}

// labelled is the labelled records of the data, or of the gold itself.
type labelled struct {
	labels gold.Labels
	data   func() (record.Source, error) // nil if no file has their texts
}

func (l labelled) open() (record.Source, error) {
	src, err := l.data()
	if err != nil {
		return nil, err
	}
	return gold.Only(src, l.labels), nil
}

func (l labelled) scan() (sum record.Summary, err error) {
	src, err := l.open()
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	return record.Scan(src, 0)
}

// pairs evaluates by pairs and returns how many of them have no rating.
func (r *evaluateRun) pairs(out *evaluation) (unrated int, err error) {
	for _, name := range []string{"label", "min", "data"} {
		if r.c.IsSet(name) {
			return 0, usagef("--%s is for labels, and %s has pairs", name, r.gold)
		}
	}
	pairs, format, err := gold.ReadPairs(r.gold)
	if err != nil {
		return 0, err
	}
	out.Gold.Format = format
	if out.Published = grader.PublishedFor(format); len(out.Published) > 0 {
		out.Source = grader.PublishedSource
	}
	if half, asked := r.half(); asked {
		pairs = gold.HalfOfPairs(pairs, half, r.c.Uint64("seed"))
	}
	if n := r.c.Int("limit"); n > 0 && n < len(pairs) {
		pairs = pairs[:n]
	}
	judge, err := r.judge(madeRecords{}, out, func(rubrics []rubric.Rubric) (gradeSource, error) {
		for _, other := range rubrics[1:] {
			if other.Pairwise() != rubrics[0].Pairwise() {
				return nil, usagef("rubrics %s and %s cannot share a run: one of them compares two responses", rubrics[0].Name, other.Name)
			}
		}
		if rubrics[0].Pairwise() {
			if err := grader.CheckPairwise(rubricNames(rubrics), rubrics[0].Scale); err != nil {
				return nil, usageError{err}
			}
			return madeRecords(gold.BothOrders(pairs)), nil
		}
		return madeRecords(gold.Single(pairs)), nil
	})
	if err != nil {
		return 0, err
	}
	if out.Pairs, err = grader.EvaluatePairs(r.c.Context, pairs, judge, r.options); err != nil {
		return 0, err
	}
	return out.Pairs.Pairs - out.Pairs.Rated, nil
}

// judge returns the scores file's ratings, graded up to date if a model is meant. What
// there is to grade depends on the rubrics; before that it is src.
func (r *evaluateRun) judge(src gradeSource, out *evaluation, choose func([]rubric.Rubric) (gradeSource, error)) (j grader.Judged, err error) {
	if !r.c.IsSet("scores") || r.c.IsSet("model") {
		run, err := newGradeRun(r.c, src, r.scores)
		if err != nil {
			return j, err
		}
		if run.src, err = choose(run.engine.Rubrics); err != nil {
			return j, err
		}
		run.options.Limit = 0 // --limit counts labels or pairs
		if _, err := run.grade(r.c.Context); err != nil {
			return j, err
		}
	}
	ok, err := exists(r.scores)
	if err != nil {
		return j, err
	}
	if !ok {
		return j, fmt.Errorf("scores file %s is missing or empty: give a model with -m to grade what is labelled", r.scores)
	}
	m, index, err := journal.Read(r.scores)
	if err != nil {
		return j, err
	}
	out.Judge = evaluatedJudge{Scores: r.scores, Model: m.Model.Name, Criteria: m.Criteria(), Torn: index.Torn}
	return grader.Judged{Ratings: index, Manifest: m}, nil
}
