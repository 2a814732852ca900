package main

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/data"
	"winnow/grader/journal"
	"winnow/grader/rubric"
	"winnow/grader/testset"
)

func judgeCommand() *cli.Command {
	return &cli.Command{
		Name:      "judge",
		Usage:     "say which of two sets of answers to the same prompts is better",
		ArgsUsage: "A B, or with --a and --b: [SET...]",
		Description: `Examples:
  winnow judge a.jsonl b.jsonl --prompts koala.jsonl,vicuna.jsonl -m model.gguf
  winnow judge --prompts sets/*.jsonl --a a.jsonl --b b.jsonl -m model.gguf
  winnow judge a.jsonl b.jsonl -m model.gguf -r pairwise-scores-1,pairwise-scores-2
  winnow judge a.jsonl b.jsonl --scores a-b.judge.jsonl --json

The judge sees each pair of answers in both orders. The log-odds of both, with rubrics
that score each answer the differences of their scores, are averaged, so that a liking
for a place cancels out. --tie makes a tie of what is not above it to either side.
Equal answers are a tie and an empty answer loses, without the judge.

Prompts are JSON lists or lines, as Koala, Self-Instruct, Vicuna, WizardLM and Alpaca
publish them; a file is a set. Answers have output, response, answer or text, and name
their prompt by its id, its instruction and input, or its index in the set; "set" says
in which file. Without --prompts, the prompts are those of the answers. Prompts
without an answer, and answers without a prompt, are counted and left out.

Printed are, for each set and for all: wins, ties and losses of A; the winning score
1 + (wins - losses)/pairs; the win rate, ties half; the win rate at equal length, as a
judge may prefer what is longer: a logistic regression of the outcome on the log of the
ratio of the lengths, read where that is 0; the outcome by the rule that a win in one
order and a loss in the other is a tie; and what the first place is worth to the judge.
Intervals are of 95 %, by percentile bootstrap over pairs with a fixed seed. B against A
gives the same with the names exchanged, to the last digit, and uses the same scores
file, which a stopped run goes on with.`,
		Flags: append(judgeFlags(),
			&cli.StringSliceFlag{Name: "prompts", Usage: "`SET` file of prompts, or a pattern; may be repeated"},
			&cli.StringSliceFlag{Name: "a", Usage: "answers of `A`, or a pattern; may be repeated"},
			&cli.StringSliceFlag{Name: "b", Usage: "answers of `B`, likewise"},
			&cli.Float64Flag{Name: "tie", Usage: "averaged log-odds of at most `X` nats, or differences of at most X points, are a tie"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, DefaultText: "the names of A and B with .judge.jsonl, in the current folder", Usage: "scores `FILE`, to write or go on with"},
			&cli.StringFlag{Name: "scores", Usage: "judge by this scores `FILE` as it is, without a model"},
			&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "only the first `N` prompts"},
			&cli.IntFlag{Name: "resamples", DefaultText: "1000; of more than 10,000 prompts fewer, but at least 100", Usage: "take `N` resamples for the intervals"},
			&cli.BoolFlag{Name: "json", Usage: "print one line of JSON"},
		),
		OnUsageError: onUsageError,
		Action:       judgeAction,
	}
}

// judgeFlags are the flags of grading, with a rubric that compares two answers.
func judgeFlags() []cli.Flag {
	list := gradingFlags()
	for i, f := range list {
		if s, ok := f.(*cli.StringFlag); ok && s.Name == "rubric" {
			list[i] = &cli.StringFlag{Name: s.Name, Aliases: s.Aliases, Value: "pairwise",
				Usage: "`NAME` of a shipped rubric that compares two answers, or a file; pairwise-scores-1,pairwise-scores-2 scores each from 1 to 10 in one pass"}
		}
	}
	return list
}

// judgeRun is one comparison in words of files and flags.
type judgeRun struct {
	c       *cli.Context
	prompts []string
	a, b    []string
	scores  string
	rate    bool // with a model; if not, the scores file is taken as it is
	options grader.JudgeOptions
}

// judged is what is printed.
type judged struct {
	Kind    string          `json:"kind"`
	Prompts []string        `json:"prompts"` // files; none if the answers have them
	A       judgedSide      `json:"a"`
	B       judgedSide      `json:"b"`
	Judge   *evaluatedJudge `json:"judge"` // null if it was not needed
	*grader.Judgement
}

// judgedSide is one of the two sets of answers.
type judgedSide struct {
	Paths  []string `json:"paths"`
	Models []string `json:"models"` // that the answers name
	testset.Joining
}

func judgeAction(c *cli.Context) error {
	r, err := newJudgeRun(c)
	if err != nil {
		return err
	}
	out, err := r.judge()
	if err != nil {
		return err
	}
	if err := out.print(c); err != nil {
		return err
	}
	if n := out.All.Pairs - out.All.Decided; n > 0 {
		return unratedPairsError{ungradedError{n}}
	}
	return nil
}

// unratedPairsError is an ungradedError that counts pairs of answers.
type unratedPairsError struct{ ungradedError }

func (e unratedPairsError) Error() string {
	return fmt.Sprintf("%d pairs of answers are left out: the judge has no rating for them; status and reason are in the scores file", e.records)
}

func (e unratedPairsError) Unwrap() error { return e.ungradedError }

func newJudgeRun(c *cli.Context) (*judgeRun, error) {
	r := &judgeRun{c: c, prompts: c.StringSlice("prompts"), a: c.StringSlice("a"), b: c.StringSlice("b"), rate: !c.IsSet("scores"),
		options: grader.JudgeOptions{Tie: c.Float64("tie"), Resamples: c.Int("resamples")}}
	args := c.Args().Slice()
	switch {
	case len(r.a) > 0 != (len(r.b) > 0):
		return nil, usagef("--a and --b go together: give the answers of both")
	case len(r.a) > 0:
		r.prompts = append(r.prompts, args...)
	case len(args) != 2:
		return nil, usagef("judge takes two files of answers, %d given: winnow judge A B --prompts SET", len(args))
	default:
		r.a, r.b = args[:1], args[1:]
	}
	switch tie := r.options.Tie; {
	case !(tie >= 0) || math.IsInf(tie, 0):
		return nil, usagef("--tie %g: want a finite number, 0 or more", tie)
	case c.Int("limit") < 0:
		return nil, usagef("--limit %d: want 0 or more", c.Int("limit"))
	case c.IsSet("resamples") && (c.Int("resamples") < 2 || c.Int("resamples") > 1_000_000):
		return nil, usagef("--resamples %d: want 2 to 1000000", c.Int("resamples"))
	case !r.rate && (c.IsSet("model") || c.IsSet("output")):
		return nil, usagef("--scores is judged by as it is, without a model: to rate what it lacks, name it with -o instead")
	}
	read := map[string]string{}
	for _, list := range []struct {
		flag  string
		paths *[]string
	}{{"prompts", &r.prompts}, {"A", &r.a}, {"B", &r.b}} {
		if slices.Contains(*list.paths, "-") {
			return nil, usagef("%s cannot be stdin: give a file", list.flag)
		}
		if len(*list.paths) == 0 {
			continue
		}
		paths, err := data.Expand(*list.paths)
		if err != nil {
			return nil, usageError{err}
		}
		*list.paths = paths
		for _, path := range paths {
			read[path] = list.flag
		}
	}
	if r.scores = c.String("scores"); r.rate {
		if r.scores = c.String("output"); r.scores == "" {
			r.scores = judgeScores(r.a[0], r.b[0])
		}
	}
	if err := checkScores("-o", r.scores); err != nil {
		return nil, err
	}
	for path, flag := range read { // A and B may be one file
		if err := checkPlaces([]place{{flag, path}, {"-o", r.scores}}); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// judgeScores names the scores file after both sets of answers, in the order of their
// names: A against B and B against A are the same pairs.
func judgeScores(a, b string) string {
	names := []string{filepath.Base(a), filepath.Base(b)}
	for i := range names {
		names[i], _, _ = data.SplitName(names[i])
	}
	slices.Sort(names)
	return strings.Join(names, "-") + ".judge.jsonl"
}

// judge joins, rates and measures.
func (r *judgeRun) judge() (*judged, error) {
	joined, out, err := r.join()
	if err != nil {
		return nil, err
	}
	matches := joined.Matches
	if n := r.c.Int("limit"); n > 0 && n < len(matches) {
		matches = matches[:n]
	}
	if !slices.ContainsFunc(matches, func(m testset.Match) bool { return m.HasA && m.HasB }) {
		return nil, fmt.Errorf("none of %d prompts has an answer of both: the answers must name their prompts by the prompts' id, instruction or index, and their set, if they name one, by the name of the prompts' file (%d and %d answers belong to none)",
			len(matches), joined.A.Surplus, joined.B.Surplus)
	}
	var judge grader.Judged
	if records := grader.JudgeRecords(matches); len(records) > 0 {
		if judge, out.Judge, err = r.judgeOf(records); err != nil {
			return nil, err
		}
	}
	out.Judgement, err = grader.JudgeAnswers(r.c.Context, matches, judge, r.options)
	return out, err
}

// join reads prompts and answers.
func (r *judgeRun) join() (*testset.Joined, *judged, error) {
	prompts, err := testset.ReadPrompts(r.prompts...)
	if err != nil {
		return nil, nil, err
	}
	a, errA := testset.ReadAnswers(r.a...)
	b, errB := testset.ReadAnswers(r.b...)
	if err := errors.Join(errA, errB); err != nil {
		return nil, nil, err
	}
	joined, err := testset.Join(prompts, a, b)
	if err != nil {
		return nil, nil, err
	}
	side := func(from *testset.Answers, j testset.Joining) judgedSide {
		return judgedSide{Paths: from.Paths, Models: append([]string{}, from.Models...), Joining: j} // as JSON a list, also of none
	}
	return joined, &judged{Kind: "judgement", Prompts: append([]string{}, r.prompts...), A: side(a, joined.A), B: side(b, joined.B)}, nil
}

// judgeOf returns the scores file's ratings, brought up to date if a model is meant.
func (r *judgeRun) judgeOf(records madeRecords) (j grader.Judged, about *evaluatedJudge, err error) {
	if r.rate {
		run, err := newGradeRun(r.c, records, r.scores)
		if err != nil {
			return j, nil, err
		}
		if err := comparing(run.engine.Rubrics); err != nil {
			return j, nil, err
		}
		run.options.Limit = 0 // --limit counts prompts
		if _, err := run.grade(r.c.Context); err != nil {
			return j, nil, err
		}
	} else if ok, err := exists(r.scores); err != nil || !ok {
		return j, nil, errors.Join(err, fmt.Errorf("scores file %s is missing or empty: leave --scores out to rate the answers", r.scores))
	}
	m, index, err := journal.Read(r.scores)
	if err != nil {
		return j, nil, err
	}
	return grader.Judged{Ratings: index, Manifest: m}, &evaluatedJudge{Scores: r.scores, Model: m.Model.Name, Criteria: m.Criteria(), Torn: index.Torn}, nil
}

// comparing makes sure that all rubrics compare two answers and together name a
// preference.
func comparing(rubrics []rubric.Rubric) error {
	for _, r := range rubrics {
		if !r.Pairwise() {
			return usagef("rubric %s rates one response, and judge compares two: use pairwise, or another rubric with {other}", r.Name)
		}
	}
	if err := grader.CheckPairwise(rubricNames(rubrics), rubrics[0].Scale); err != nil {
		return usageError{err}
	}
	return nil
}
