package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"winnow/grader/audit"
	"winnow/grader/data"
	"winnow/grader/engine"
	"winnow/grader/journal"
	"winnow/grader/placement"
	"winnow/grader/rating"
	"winnow/grader/record"
)

func auditCommand() *cli.Command {
	return &cli.Command{
		Name:      "audit",
		Usage:     "say without labels how far a judge can be trusted on this data",
		ArgsUsage: "DATA...",
		Description: `Examples:
  winnow audit data.json -m model.gguf
  winnow audit data.json -m q4.gguf --against f16.gguf --sample 500
  winnow audit data.json -m model.gguf -r accuracy,helpfulness --json | jq .worries

Records are sampled, and variants of them are made whose right order is known: the
response of another record, of about the same length; a request for the highest rating
behind the response, a forged answer of the judge, praise of itself; no answer, half of
it, its words in any order. All are rated, and the ratings say whether the judge tells a
true response from another one, follows the length of the response, tells records
apart at all, moves with the order and the batch size, and falls for attacks. Turns of
conversations are sampled like records.

With the defaults about 1,200 variants and records are rated, and 400 more for the
drift. The scores file can be resumed; with other options, what it has is used again.
Limits are named with each verdict. The exit code does not depend on what is found.

` + dataHelp,
		Flags: slices.Concat(sourceFlags(), gradingFlags(), []cli.Flag{
			&cli.IntFlag{Name: "sample", Value: audit.DefaultSample, Usage: fmt.Sprintf("draw `N` records, %d at most", mostSampled)},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "which records are drawn, and how words are mixed: `N`"},
			&cli.IntFlag{Name: "canaries", Value: audit.DefaultCanaries, Usage: "make up to `N` variants of each kind of attack and corruption; 0 for none"},
			&cli.Float64Flag{Name: "min", DefaultText: "a tenth of the scale below its highest: 4.5 of 0 to 5", Usage: "the cut: expected ratings of `X` and more are kept"},
			&cli.StringFlag{Name: "against", Usage: "rate the sample with another file of the model too, such as one in another quantization: `FILE`"},
			&cli.BoolFlag{Name: "no-drift", Usage: "do not rate the sample again in reverse order and with half the batch size"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "scores `FILE` (default: the first DATA's name with .audit.jsonl, in the current folder)"},
			&cli.BoolFlag{Name: "json", Usage: "print one line of JSON"},
		}),
		OnUsageError: onUsageError,
		Action:       auditAction,
	}
}

// mostSampled bounds the time that intervals take.
const mostSampled = 10_000

// auditRun is one audit in words of files and flags.
type auditRun struct {
	c       *cli.Context
	src     source
	scores  string
	against string // another file of the model; "" for none
	min     float64
	plan    *audit.Plan
}

func auditAction(c *cli.Context) error {
	r, err := newAuditRun(c)
	if err != nil {
		return err
	}
	defer r.src.close()
	report, err := r.report()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = printJSON(c.App.Writer, struct {
			Kind   string `json:"kind"`
			Scores string `json:"scores"`
			*audit.Report
		}{"audit", r.scores, report})
	} else {
		err = printAudit(c.App.Writer, report)
	}
	if err != nil {
		return err
	}
	if n := report.Incomplete(); n > 0 {
		return ungradedError{n}
	}
	return nil
}

// newAuditRun checks the command line.
func newAuditRun(c *cli.Context) (*auditRun, error) {
	switch n := c.Int("sample"); {
	case n < 1 || n > mostSampled:
		return nil, usagef("--sample %d: want 1 to %d", n, mostSampled)
	case c.Int("canaries") < 0:
		return nil, usagef("--canaries %d: want 0 or more", c.Int("canaries"))
	}
	src, err := sourceOf(c)
	if err != nil {
		return nil, err
	}
	src.options.Mixed = true // nothing is written in their layout
	r := &auditRun{c: c, src: src, scores: c.String("output"), against: c.String("against")}
	if r.scores == "" {
		r.scores = src.stem() + ".audit.jsonl"
	}
	if err := r.check(); err != nil {
		src.close()
		return nil, err
	}
	return r, nil
}

// check refuses to write what is read, and a model that is not there.
func (r *auditRun) check() error {
	if err := checkScores("-o", r.scores); err != nil {
		return err
	}
	if r.against != "" {
		if _, err := os.Stat(r.against); err != nil {
			return modelError{fmt.Errorf("--against: %w", err)}
		}
	}
	return checkPlaces(append(r.src.places(), place{"-o", r.scores}, place{"--against", r.against}))
}

// report draws, rates and measures.
func (r *auditRun) report() (*audit.Report, error) {
	run, err := newGradeRun(r.c, nil, r.scores)
	if err != nil {
		return nil, err
	}
	rubrics := run.engine.Rubrics
	if err := singleResponse(rubrics); err != nil {
		return nil, err
	}
	if r.against != "" && sameFile(r.against, run.engine.Model) {
		return nil, usagef("--against %s is the model itself: name another file of it", r.against)
	}
	if r.min, err = auditCut(r.c, rubrics[0].Scale); err != nil {
		return nil, err
	}
	sample, err := r.draw()
	if err != nil {
		return nil, err
	}
	if r.plan, err = audit.NewPlan(sample, rubrics, r.c.Int("canaries")); err != nil {
		return nil, err
	}
	run.src = madeRecords(r.plan.Records())
	m, index, err := r.rate(run, fmt.Sprintf("%s: %d records of %d and their variants", r.scores, len(sample.Records), sample.Eligible))
	if err != nil {
		return nil, err
	}
	again, err := r.again(m)
	if err != nil {
		return nil, err
	}
	return r.plan.Report(r.c.Context, m, index, again, audit.Options{Min: r.min})
}

// auditCut is the rating from which on a record is kept.
func auditCut(c *cli.Context, s rating.Scale) (float64, error) {
	lowest, highest := s.Values[0], s.Values[len(s.Values)-1]
	if !c.IsSet("min") {
		return highest - (highest-lowest)/10, nil
	}
	if x := c.Float64("min"); x >= lowest && x <= highest { // also refuses NaN
		return x, nil
	}
	return 0, usagef("--min %g: want a rating of the scale, %g to %g", c.Float64("min"), lowest, highest)
}

// draw reads the data once.
func (r *auditRun) draw() (_ *audit.Sample, err error) {
	rd, err := r.src.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rd.Close()) }()
	s, err := audit.Draw(r.c.Context, rd, r.src.limit, r.c.Int("sample"), r.c.Uint64("seed"))
	if err == nil && len(s.Records) == 0 {
		err = fmt.Errorf("%s: none of %d records can be read and has a response: nothing to audit; winnow grade --rejects lists why", strings.Join(r.src.paths, ", "), s.Read)
	}
	return s, err
}

// rate makes sure that a run's scores file has all its records, and reads it.
func (r *auditRun) rate(run *gradeRun, what string) (journal.Manifest, *journal.Index, error) {
	run.options.Limit = 0 // --limit is of the data
	sum, err := run.grade(r.c.Context)
	if err != nil {
		return journal.Manifest{}, nil, err
	}
	say(r.c.App.ErrWriter, "%s: %d to rate, %d ratings added\n", what, sum.Records, sum.Graded)
	return journal.Read(run.journal)
}

// again rates the sample once more, in other ways. What must give the same ratings
// to the last bit needs a scores file of its own, which is of no use later.
func (r *auditRun) again(m journal.Manifest) (list []audit.Again, err error) {
	if !r.c.Bool("no-drift") {
		dir, err := os.MkdirTemp("", "winnow-audit-")
		if err != nil {
			return nil, fmt.Errorf("a folder for the ratings of the drift: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }() // what is left of it harms nobody
		// What the engine promises on a CPU, or where it is asked for.
		exact := m.Settings["flash_attention"] == "true" && (m.Runtime.Device == "CPU" || r.c.Bool("deterministic"))
		for _, how := range []struct {
			name, text string
			records    []*record.Record
			half       bool
		}{
			{"reverse", "the sample alone and in reverse order", r.plan.Reversed(), false},
			{"half-batch", "half the batch size", r.plan.Originals(), true},
		} {
			g, err := r.rateAgain(filepath.Join(dir, how.name+".jsonl"), how.text, madeRecords(how.records), func(run *gradeRun) {
				if how.half {
					run.settle = halfBatch(run.settle)
				}
			})
			if err != nil {
				return nil, err
			}
			g.Name, g.Exact = how.name, exact
			list = append(list, g)
		}
	}
	if r.against == "" {
		return list, nil
	}
	g, err := r.rateAgain(r.againstScores(), "the model "+filepath.Base(r.against), madeRecords(r.plan.Originals()), func(run *gradeRun) { run.engine.Model = r.against })
	g.Name = audit.Against
	return append(list, g), err
}

// againstScores is the scores file of the other model: beside that of the audit, so
// that it can be resumed, too.
func (r *auditRun) againstScores() string {
	stem, _, _ := data.SplitName(r.scores)
	model, _, _ := data.SplitName(r.against)
	return filepath.Join(filepath.Dir(r.scores), stem+".against-"+model+".jsonl")
}

// rateAgain rates records into another scores file.
func (r *auditRun) rateAgain(scores, text string, records gradeSource, change func(*gradeRun)) (g audit.Again, err error) {
	run, err := newGradeRun(r.c, records, scores)
	if err != nil {
		return g, err
	}
	// The attention and kernels are those of the audit's scores file.
	settle := run.settle
	run.settle = func(o *engine.Options, gpus []placement.Device) error {
		if err := settle(o, gpus); err != nil {
			return err
		}
		keepJudge(r.c, o, &run.options, run.openSignals, r.scores)
		return nil
	}
	change(run)
	_, index, err := r.rate(run, "again with "+text)
	return audit.Again{Text: text, Ratings: index}, err
}

// halfBatch halves the batch size that settings come to.
func halfBatch(settle func(*engine.Options, []placement.Device) error) func(*engine.Options, []placement.Device) error {
	return func(o *engine.Options, gpus []placement.Device) error {
		if err := settle(o, gpus); err != nil {
			return err
		}
		if o.Batch == 0 {
			o.Batch = engine.DefaultBatch // a plan for GPUs does not choose less
		}
		o.Batch = max(engine.MinBatch, o.Batch/2)
		return nil
	}
}
