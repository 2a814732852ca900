package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/calibration"
	"winnow/grader/engine"
	"winnow/grader/journal"
	"winnow/grader/placement"
	"winnow/grader/record"
	"winnow/grader/signal"
	"winnow/grader/verdict"
)

func gradeCommand() *cli.Command {
	return &cli.Command{
		Name:      "grade",
		Usage:     "rate records and write the ratings to a scores file; run again to resume",
		ArgsUsage: "DATA...",
		Description: `Examples:
  winnow grade data.json -m model.gguf -o scores.jsonl
  winnow grade 'part-*.jsonl.gz' -m model.gguf -o scores.jsonl --rejects rejects.jsonl
  winnow grade data.json -m model.gguf -o scores.jsonl --signals nll,ifd
  winnow grade data.json --cascade small.gguf,large.gguf --min 4.5 --agreement 0.95 -o scores.jsonl

The scores file is a journal: batches are on the disk as soon as they are rated,
so a run that was killed goes on where it stopped. A scores file of
another model, rubric, scale or setting is refused.

--signals adds to each rating what the model tells beside it: the loss of the response
(nll, ppl), how much the instruction helps to predict it (ifd, ifd_ppl, ifd_plain),
counts of tokens, or a layer's hidden state. A scores file has them for all its records
or for none: it goes on with those that it was begun with. winnow export and winnow
filter --where use them.

DATA may hold conversations ("messages" or "conversations"): each turn of the
assistant is rated, with what comes before it as its context.

` + cascadeHelp + `

` + dataHelp + `

--shard 2/8 rates one of eight parts of DATA, for the second of eight machines that
need not know of each other; its scores file is DATA.scores-2-of-8.jsonl. winnow
merge puts the eight files together, to the same bytes that it makes of the file of
one machine. Which part a record belongs to is decided by its texts alone.`,
		Flags: append(slices.Concat(sourceFlags(), rejectFlags(), gradingFlags(), cascadeFlags()),
			&cli.Float64Flag{Name: "min", DefaultText: fmt.Sprintf("%g, if there is no --top-percent either", verdict.DefaultMin), Usage: "with --cascade: the large model keeps ratings of `X` and more"},
			&cli.Float64Flag{Name: "top-percent", DefaultText: "not asked", Usage: "with --cascade: the large model keeps what is as good as the best `P` percent of the sample"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o", "scores"}, Usage: "scores `FILE` (default: the first DATA's name with .scores.jsonl, in the current folder)"},
			&cli.StringFlag{Name: "shard", Usage: "rate part I of N alone: `I/N`, such as 2/8; --limit counts records of the whole"},
			&cli.BoolFlag{Name: "json", Usage: "print a summary as one line of JSON"},
		),
		OnUsageError: onUsageError,
		Action: func(c *cli.Context) error {
			if err := checkCascade(c, []string{"shard"}, []string{"min", "top-percent"}); err != nil {
				return err
			}
			src, err := sourceOf(c)
			if err != nil {
				return err
			}
			defer src.close()
			src.options.Mixed = true // nothing is written in their layout
			if c.IsSet("shard") {
				if src.shard, err = grader.ParseShard(c.String("shard")); err != nil {
					return usagef("--shard: %w", err)
				}
			}
			path := c.String("output")
			if path == "" {
				path = src.stem() + ".scores" + src.shard.Suffix() + ".jsonl"
			}
			if err := checkScores("-o", path); err != nil {
				return err
			}
			if err := checkPlaces(append(src.places(), place{"-o", path}, place{"--rejects", src.rejects})); err != nil {
				return err
			}
			if src.rejects == "-" && c.Bool("json") {
				return usagef("--rejects - leaves no room on stdout for --json")
			}
			if c.IsSet("cascade") {
				return gradeCascade(c, src, path)
			}
			run, err := newGradeRun(c, src, path)
			if err != nil {
				return err
			}
			sum, err := run.grade(c.Context)
			if err != nil {
				return err
			}
			return sum.print(c, path)
		},
	}
}

// gradeSource is what a run grades.
type gradeSource interface {
	// scan goes through the records once, before a model is loaded.
	scan() (record.Summary, error)
	open() (record.Source, error)
}

// madeRecords are records that the program makes.
type madeRecords []*record.Record

func (m madeRecords) scan() (record.Summary, error) { return record.Scan(record.FromList(m), 0) }

func (m madeRecords) open() (record.Source, error) { return record.FromList(m), nil }

// gradeRun is a grading run in words of files and flags.
type gradeRun struct {
	src      gradeSource
	shard    grader.Shard
	journal  string
	engine   engine.Options
	settle   func(*engine.Options, []placement.Device) error // fills in what depends on the GPUs
	inside   bool                                            // the engine is in this process
	options  grader.GradeOptions
	progress *progress
	// openSignals lets a scores file that was begun say which signals there are.
	openSignals bool
	accept      func(journal.Manifest) error // may refuse the run before anything is rated; nil for no one

	calibration *calibration.File // nil for none
}

func newGradeRun(c *cli.Context, src gradeSource, journalPath string) (*gradeRun, error) {
	eo, err := flagOptions(c)
	if err != nil {
		return nil, err
	}
	files, ofFiles := src.(source)
	if ofFiles {
		if err := singleResponse(eo.Rubrics); err != nil {
			return nil, err
		}
	}
	gopts, err := gradeOptions(c)
	if err != nil {
		return nil, err
	}
	run := &gradeRun{src: src, journal: journalPath, engine: eo, inside: c.Bool("in-process"), options: gopts, progress: newProgress(c.App.ErrWriter), openSignals: !c.IsSet("signals")}
	if path := c.String("calibration"); path != "" {
		if run.calibration, err = readCalibration(path); err != nil {
			return nil, err
		}
	}
	run.settle = func(o *engine.Options, gpus []placement.Device) error {
		if err := applyProfile(c, o, gpus); err != nil {
			return err
		}
		keepJudge(c, o, &run.options, run.openSignals, journalPath)
		return run.addSignals(o)
	}
	if ofFiles {
		run.shard = files.shard
	}
	return run, nil
}

// open opens the engine, in a process of its own if nothing else is asked for.
func (r *gradeRun) open(ctx context.Context) (grader.Engine, error) {
	if !r.inside {
		return openChild(ctx, r.engine, r.settle)
	}
	o := r.engine
	gpus, err := usable(o, ownGPUs(o))
	if err != nil {
		return nil, err
	}
	if err := r.settle(&o, gpus); err != nil {
		return nil, err
	}
	return openEngine(o)
}

// addSignals asks for what the calibration reads. A hidden state that nothing else asks
// for is not written down.
func (r *gradeRun) addSignals(o *engine.Options) error {
	if r.calibration == nil {
		return nil
	}
	set, layer, err := r.calibration.Needs()
	if err != nil {
		return err
	}
	r.options.DropHidden = set.Has(signal.Hidden) && !o.Signals.Has(signal.Hidden)
	o.Signals = o.Signals.Union(set)
	if layer < 0 {
		return nil
	}
	if at := layer + 1; o.HiddenLayer == 0 {
		o.HiddenLayer = at // the engine counts from 1
	} else if o.HiddenLayer != at {
		return usagef("--hidden-layer %d: the calibration reads layer %d", o.HiddenLayer, at)
	}
	return nil
}

// grade makes sure that the journal has an entry for every record.
func (r *gradeRun) grade(ctx context.Context) (_ *gradeSummary, err error) {
	sum, err := r.src.scan()
	if err != nil {
		return nil, err
	}
	e, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if r.calibration != nil {
		if r.options.Calibration, err = r.calibration.Bind(e.Manifest()); err != nil {
			return nil, err
		}
	}
	m := grader.Manifest(e, r.options)
	if r.accept != nil {
		if err := r.accept(m); err != nil {
			return nil, err
		}
	}
	j, err := journal.Open(r.journal, m)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	rd, err := r.src.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rd.Close()) }()

	known := j.Len()
	o := r.options
	if sum.Turns != sum.Records {
		r.progress.what = "turns"
	}
	o.Progress = r.progress.start(sum.Turns)
	done, err := grader.Grade(ctx, rd, e, j, j, o)
	r.progress.stop()
	if err != nil {
		if errors.Is(err, context.Canceled) {
			err = fmt.Errorf("%d records are graded; run the same command again to go on: %w", j.Len(), err)
		}
		return nil, err
	}
	out := &gradeSummary{Kind: "summary", Shard: r.shard.String(), Records: done.Records, Graded: done.Rated, Known: known, Seconds: done.Took.Seconds(), Statuses: done.Statuses}
	if done.Done != done.Records {
		out.Turns = done.Done
	}
	if s := done.Took.Seconds(); s > 0 {
		out.TokensPerSecond = float64(done.Tokens) / s
	}
	return out, nil
}

// gradeSummary tells what a grading run did.
type gradeSummary struct {
	Kind            string                `json:"kind"`
	Shard           string                `json:"shard,omitempty"`
	Records         int                   `json:"records"`
	Graded          int                   `json:"graded"` // entries that this run added
	Known           int                   `json:"known"`  // entries that the scores file had before
	Seconds         float64               `json:"seconds"`
	TokensPerSecond float64               `json:"tokens_per_s"`
	Statuses        map[record.Status]int `json:"statuses"`        // of the turns, if there are any, else of the records
	Turns           int                   `json:"turns,omitempty"` // what was rated, if the data has conversations of several turns
}

// ungraded counts the records, or turns, that have no rating.
func (s *gradeSummary) ungraded() int { return max(s.Records, s.Turns) - s.Statuses[record.OK] }

// print writes the summary and returns the error that its exit code wants.
func (s *gradeSummary) print(c *cli.Context, path string) error {
	if c.Bool("json") {
		if err := printJSON(c.App.Writer, s); err != nil {
			return err
		}
	} else {
		what := fmt.Sprintf("%d records", s.Records)
		if s.Turns > 0 {
			what += fmt.Sprintf(" with %d turns", s.Turns)
		}
		say(c.App.ErrWriter, "%s, %d entries added to %s\n", what, s.Graded, path)
	}
	switch n := s.ungraded(); {
	case n > 0 && s.Turns > 0:
		return ungradedTurnsError{ungradedError{n}}
	case n > 0:
		return ungradedError{n}
	}
	return nil
}

// ungradedTurnsError is an ungradedError that counts the turns of conversations.
type ungradedTurnsError struct{ ungradedError }

func (e ungradedTurnsError) Error() string {
	return fmt.Sprintf("%d turns could not be graded: their status and reason are in the scores file", e.records)
}

func (e ungradedTurnsError) Unwrap() error { return e.ungradedError }
