package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/cascade"
	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/grader/signal"
	"winnow/grader/verdict"
)

// cascadeHelp is what help says of cascades.
const cascadeHelp = `--cascade small.gguf,large.gguf spares the large model most of the work. The small one
rates all records, the large one a sample; from it the probability is learned that the
large one's rating reaches --min (or is among its best --top-percent of the sample). The
large model then rates the band of records whose verdict is uncertain, as narrow as
--agreement with it allows. A scores file scores.jsonl gets the small model's ratings with
the probability as "calibrated", exactly 1 or 0 where the large model decides: winnow
filter --scores scores.jsonl --where 'calibrated >= 0.5' keeps what the cascade keeps.
Beside it, scores.small.jsonl and scores.large.jsonl have what each model says, so that a
run that was stopped goes on, and scores.cascade.json has the evidence.`

// cascadeSignals are what a small model's verdicts are learned from.
const cascadeSignals = "tokens,nll,hidden"

// cascadeOnly names the flags that go with --cascade alone.
var cascadeOnly = []string{"agreement", "cascade-sample", "cascade-check", "cascade-seed"}

func cascadeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cascade", Usage: "rate all records with the first of two models, and those that it cannot decide with the second: `SMALL,LARGE`; --signals (default " + cascadeSignals + ") is what the first is learned to be read by"},
		&cli.Float64Flag{Name: "agreement", Value: 0.95, Usage: "with --cascade: have at least this `SHARE` of verdicts agree with the large model's, as far as the sample shows"},
		&cli.IntFlag{Name: "cascade-sample", Value: 400, Usage: "with --cascade: learn from `N` records that both models rate"},
		&cli.IntFlag{Name: "cascade-check", Usage: "with --cascade: measure the agreement on `N` more records outside the band"},
		&cli.Uint64Flag{Name: "cascade-seed", Value: 1, Usage: "with --cascade: `N` that the sample, the folds and the intervals depend on"},
	}
}

// checkCascade refuses flags that make no sense together. without are flags of the
// command that --cascade leaves no room for, only those that need it.
func checkCascade(c *cli.Context, without, only []string) error {
	if !c.IsSet("cascade") {
		for _, name := range append(slices.Clone(cascadeOnly), only...) {
			if c.IsSet(name) {
				return usagef("--%s goes with --cascade, which is not given", name)
			}
		}
		return nil
	}
	for _, name := range append([]string{"model", "calibration"}, without...) {
		if c.IsSet(name) {
			return usagef("--%s and --cascade cannot both be given: a cascade has its own models, probabilities and verdicts", name)
		}
	}
	if c.String("rejects") == "-" {
		return usagef("--rejects - leaves no room on stdout for the report of --cascade")
	}
	return nil
}

// judgeFile is a model of a cascade with its scores file.
type judgeFile struct{ name, model, scores string }

// cascadeRun is a cascade in words of files and flags.
type cascadeRun struct {
	c             *cli.Context
	src           source
	small, large  judgeFile
	out, evidence string
	options       cascade.Options
	took          cascade.Took
}

// newCascadeRun checks the command line. The result is written to out, and other files
// of the command are written too.
func newCascadeRun(c *cli.Context, src source, out string, others ...place) (*cascadeRun, error) {
	models := strings.Split(c.String("cascade"), ",")
	if len(models) != 2 || slices.Contains(models, "") {
		return nil, usagef("--cascade %s: want two models with a comma between: --cascade small.gguf,large.gguf", c.String("cascade"))
	}
	for _, m := range models {
		if _, err := os.Stat(m); err != nil {
			return nil, modelError{fmt.Errorf("--cascade: %w", err)}
		}
	}
	if sameFile(models[0], models[1]) {
		return nil, usagef("--cascade: both models are the same file, %s", models[0])
	}
	stem := strings.TrimSuffix(out, ".jsonl")
	r := &cascadeRun{
		c: c, src: src, out: out, evidence: stem + ".cascade.json",
		small: judgeFile{name: "small", model: models[0], scores: stem + ".small.jsonl"},
		large: judgeFile{name: "large", model: models[1], scores: stem + ".large.jsonl"},
		options: cascade.Options{
			Min: verdict.DefaultMin, Agreement: c.Float64("agreement"), Sample: c.Int("cascade-sample"), Check: c.Int("cascade-check"), Seed: c.Uint64("cascade-seed"),
		},
	}
	switch {
	case c.IsSet("min") && c.IsSet("top-percent"):
		return nil, usagef("--min and --top-percent both say what the large model of a cascade keeps: give one of the two")
	case c.IsSet("min"):
		r.options.Min = c.Float64("min")
	case c.IsSet("top-percent"):
		p := c.Float64("top-percent")
		r.options.TopPercent = &p
	}
	if err := r.options.Validate(); err != nil {
		return nil, usageError{fmt.Errorf("--cascade: %w", err)}
	}
	places := append(src.places(), place{"the result", out}, place{"--rejects", src.rejects}, place{"the evidence", r.evidence},
		place{"the small model's scores", r.small.scores}, place{"the large model's scores", r.large.scores})
	if err := checkPlaces(append(places, others...)); err != nil {
		return nil, err
	}
	// Options of an engine want a model; each run then gets its own.
	return r, c.Set("model", models[0])
}

// run grades, learns and writes the result.
func (r *cascadeRun) run(ctx context.Context) (*cascade.Plan, *cascade.Evidence, error) {
	before, err := r.readEarlier()
	if err != nil {
		return nil, nil, err
	}
	if err := r.rate(ctx, &r.small, r.src, "all records", &r.took.Small); err != nil {
		return nil, nil, err
	}
	sample, err := cascade.Draw(r.small.scores, r.options.Sample, r.options.Seed)
	if err != nil {
		return nil, nil, err
	}
	if err := r.rateLarge(ctx, sample, fmt.Sprintf("a sample of %d records", len(sample)), &r.took.Sample); err != nil {
		return nil, nil, err
	}
	begun := time.Now()
	plan, err := cascade.Learn(ctx, r.small.scores, r.large.scores, sample, r.options)
	if err != nil {
		return nil, nil, fmt.Errorf("cascade: %w", err)
	}
	if err := r.checkResult(plan); err != nil {
		return nil, nil, err
	}
	r.recall(before, plan)
	route, err := plan.Route(r.small.scores, sample)
	if err != nil {
		return nil, nil, err
	}
	r.took.Learn = time.Since(begun).Seconds()
	if more := len(route.Band) + len(route.Check); more > 0 {
		if err := r.write(plan.Evidence(nil, cascade.Seconds{Took: r.took})); err != nil {
			return nil, nil, err
		}
		if err := r.rateLarge(ctx, route.Large(), fmt.Sprintf("%d more records, %d of them to check", more, len(route.Check)), &r.took.Band); err != nil {
			return nil, nil, err
		}
	}
	report, err := plan.Write(ctx, route, r.small.scores, r.large.scores, r.out)
	if err != nil {
		return nil, nil, err
	}
	e := plan.Evidence(report, report.Time(r.took))
	return plan, &e, r.write(e)
}

// part is the records of a source that are in a set.
type part struct {
	source
	set cascade.Set
}

func (p part) open() (record.Source, error) {
	r, err := p.source.open()
	if err != nil {
		return nil, err
	}
	return cascade.Only(r, p.set, p.limit), nil
}

// scan counts. Rejects were listed when the whole source was scanned.
func (p part) scan() (sum record.Summary, err error) {
	r, err := p.open()
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return record.Scan(r, 0)
}

func (r *cascadeRun) rateLarge(ctx context.Context, set cascade.Set, what string, took *cascade.Timing) error {
	return r.rate(ctx, &r.large, part{r.src, set}, what, took)
}

// rate makes sure that a judge's scores file has the records of a source, and adds to
// took what that took.
func (r *cascadeRun) rate(ctx context.Context, j *judgeFile, src gradeSource, what string, took *cascade.Timing) error {
	run, err := newGradeRun(r.c, src, j.scores)
	if err != nil {
		return err
	}
	if r.options.TopPercent == nil {
		rule := verdict.Rule{Min: &r.options.Min}
		if err := rule.Validate(run.engine.Rubrics[0].Scale); err != nil {
			return usageError{err} // before a model is loaded
		}
	}
	run.engine.Model = j.model
	switch {
	case j == &r.large: // of its ratings only the verdicts are read; --signals is of small
		run.engine.Signals, run.engine.HiddenLayer, run.options.Limit = nil, 0, 0
		run.openSignals = true
	case !r.c.IsSet("signals"):
		if run.engine.Signals, err = signal.Parse(cascadeSignals); err != nil {
			return err
		}
		run.engine.HiddenLayer = r.c.Int("hidden-layer")
	}
	say(r.c.App.ErrWriter, "%s rates %s: %s\n", j.name, what, j.model)
	sum, err := run.grade(ctx)
	if err != nil {
		return err
	}
	if sum.Graded > 0 {
		*took = took.Plus(cascade.Timing{Records: sum.Graded, Seconds: sum.Seconds})
	}
	return nil
}

// checkResult refuses a result that other verdicts were begun in before the large model
// rates anything more.
func (r *cascadeRun) checkResult(p *cascade.Plan) error {
	if ok, err := exists(r.out); !ok || err != nil {
		return err
	}
	have, err := journal.ReadManifest(r.out)
	if err != nil {
		return err
	}
	small, err := journal.ReadManifest(r.small.scores)
	if err != nil {
		return err
	}
	if diffs := have.Differences(p.Manifest(small)); len(diffs) > 0 {
		return fmt.Errorf("%w; the models' own scores files can go on: to decide anew, remove %s alone", &journal.MismatchError{Path: r.out, Differences: diffs}, r.out)
	}
	return nil
}

// earlier is what is read of the evidence of an earlier run.
type earlier struct {
	Kind string `json:"kind"`
	Plan struct {
		Small, Large journal.Model
	} `json:"plan"`
	Seconds cascade.Took `json:"seconds"`
}

// readEarlier reads the evidence that this run will overwrite; none is all zero.
func (r *cascadeRun) readEarlier() (e earlier, err error) {
	b, err := os.ReadFile(r.evidence)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return e, fmt.Errorf("reading the evidence of an earlier run: %w", err)
	}
	if err := json.Unmarshal(b, &e); err != nil || e.Kind != "cascade" {
		return e, fmt.Errorf("%s is no evidence of a cascade, and would be overwritten: move it away, or give another name for the scores", r.evidence)
	}
	return e, nil
}

// recall adds what an earlier run of the same models took.
func (r *cascadeRun) recall(e earlier, p *cascade.Plan) {
	if e.Plan.Small.SHA256 != p.Small.SHA256 || e.Plan.Large.SHA256 != p.Large.SHA256 {
		return
	}
	r.took.Small = r.took.Small.Plus(e.Seconds.Small)
	r.took.Sample = r.took.Sample.Plus(e.Seconds.Sample)
	r.took.Band = r.took.Band.Plus(e.Seconds.Band)
}

func (r *cascadeRun) write(e cascade.Evidence) error {
	out, err := createOutput(r.evidence, r.c.App.Writer)
	if err != nil {
		return err
	}
	defer out.discard()
	if err := printJSON(out, e); err != nil {
		return err
	}
	return out.commit()
}

// gradeCascade is winnow grade --cascade.
func gradeCascade(c *cli.Context, src source, path string) error {
	r, err := newCascadeRun(c, src, path)
	if err != nil {
		return err
	}
	plan, e, err := r.run(c.Context)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		err = printJSON(c.App.Writer, e)
	} else {
		err = printCascade(c.App.Writer, plan, e)
	}
	if err == nil && e.Report.Unrated > 0 {
		err = ungradedError{e.Report.Unrated}
	}
	return err
}

// cascade grades for winnow filter --cascade. What it tells is talk there.
func (f *filterRun) cascade() error {
	r, err := newCascadeRun(f.c, f.src, f.scores, place{"-o", f.kept}, place{"--dropped", f.dropped})
	if err != nil {
		return err
	}
	plan, e, err := r.run(f.c.Context)
	if err != nil || f.c.Bool("json") {
		return err
	}
	return printCascade(f.c.App.ErrWriter, plan, e)
}

// cascadeRule keeps what a cascade's result says is to be kept.
func cascadeRule(m journal.Manifest) (r verdict.Rule, err error) {
	r.Where, err = verdict.CompileCondition("calibrated >= 0.5", grader.Vocabulary(m))
	return r, err
}
