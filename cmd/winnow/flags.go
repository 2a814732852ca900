package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/engine"
	"winnow/grader/record"
	"winnow/grader/rubric"
)

// defaultModel is what `make model` makes.
const defaultModel = "smollm2-135m-instruct.gguf"

// defaultMaxOffScale refuses a rating that less than a hundredth of the
// probability speaks for: it would be read from answers that the model does not
// give.
const defaultMaxOffScale = 0.99

func sourceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "map", Usage: "`NAMES` of the keys that hold a record's texts, such as instruction=prompt,output=completion"},
		&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "only the first `N` records"},
		&cli.IntFlag{Name: "max-record-bytes", Value: record.DefaultMaxBytes, Usage: "refuse files with a record of more than `N` bytes"},
	}
}

func engineFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "GGUF `FILE` of the grader (default: $WINNOW_MODEL, or the model that make model fetches)"},
		&cli.StringFlag{Name: "rubric", Aliases: []string{"r"}, Usage: "`NAME` of a shipped rubric, or a file; winnow rubrics lists them", Value: rubric.Default},
		&cli.IntFlag{Name: "ctx-size", Aliases: []string{"c"}, Usage: "`TOKENS` that one record's prompt may have; 0: 4096, or the model's if less"},
		&cli.IntFlag{Name: "ubatch-size", Aliases: []string{"ub"}, Value: engine.DefaultBatch, Usage: "`TOKENS` of one batch"},
		&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, Usage: "CPU `THREADS`; 0: all cores that the process may use"},
		&cli.IntFlag{Name: "gpu-layers", Aliases: []string{"ngl", "n-gpu-layers"}, Value: -1, Usage: "`LAYERS` on the GPU, if there is one; -1: all"},
		&cli.StringFlag{Name: "flash-attn", Aliases: []string{"fa"}, Value: "on", Usage: "flash attention: `on|off|auto`"},
		&cli.StringFlag{Name: "too-long", Value: string(engine.Skip), Usage: "a record that does not fit: `skip|truncate` (truncate leaves out the middle of the response and marks the entry)"},
	}
}

func gradingFlags() []cli.Flag {
	return append(engineFlags(),
		&cli.Float64Flag{Name: "max-off-scale", Value: defaultMaxOffScale, Usage: "no rating if more than this `SHARE` of the probability is on answers that are no rating"},
	)
}

// source is the data file of a command line.
type source struct {
	path    string
	options record.Options
	limit   int
}

func sourceOf(c *cli.Context) (source, error) {
	s := source{path: c.Args().First(), limit: c.Int("limit")}
	if c.NArg() != 1 {
		return s, usagef("%s takes one data file, %d given: winnow %s --help", c.Command.Name, c.NArg(), c.Command.Name)
	}
	fields, err := record.ParseFields(c.String("map"))
	if err != nil {
		return s, usageError{err}
	}
	if s.limit < 0 || c.Int("max-record-bytes") < 1 {
		return s, usagef("--limit must be 0 or more, --max-record-bytes 1 or more")
	}
	s.options = record.Options{Fields: fields, MaxBytes: c.Int("max-record-bytes")}
	return s, nil
}

func (s source) open() (*record.Reader, error) { return record.Open(s.path, s.options) }

// scan goes through the file once, so that damage shows before a model is loaded.
func (s source) scan() (record.Summary, error) {
	sum, err := record.Scan(s.path, s.options, s.limit)
	if err != nil {
		return sum, err
	}
	if f := sum.FirstFault; f != nil {
		slog.Warn("some records cannot be read; the others are graded", "records", sum.Faulty,
			"first", fmt.Sprintf("%s:%d", s.path, f.Line), "status", f.Fault.Status, "reason", f.Fault.Reason)
	}
	return sum, nil
}

// stem is the file's name without folder and extension: what files that belong
// to it are named after.
func (s source) stem() string {
	base := filepath.Base(s.path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// ext is the file's extension, or ".json".
func (s source) ext() string {
	if e := filepath.Ext(s.path); e != "" {
		return e
	}
	return ".json"
}

func engineOptions(c *cli.Context) (engine.Options, error) {
	o := engine.Options{
		Ctx: c.Int("ctx-size"), Batch: c.Int("ubatch-size"), Threads: c.Int("threads"),
		GPULayers: c.Int("gpu-layers"), TooLong: engine.TooLong(c.String("too-long")),
	}
	switch fa := c.String("flash-attn"); fa {
	case "on", "auto":
	case "off":
		o.NoFlashAttention = true
	default:
		return o, usagef("--flash-attn %s: want on, off or auto", fa)
	}
	if o.TooLong != engine.Skip && o.TooLong != engine.Truncate {
		return o, usagef("--too-long %s: want skip or truncate", o.TooLong)
	}
	if o.Ctx < 0 || o.Batch < engine.MinBatch || o.Threads < 0 {
		return o, usagef("-c and -t must be 0 or more, -ub %d or more", engine.MinBatch)
	}
	rub, err := rubric.Load(c.String("rubric"))
	if err != nil {
		return o, usageError{err}
	}
	o.Rubric = rub
	o.Model, err = modelPath(c)
	return o, err
}

// modelPath is the model of the command line, of the environment, or the default
// one. The environment is not read by the flag: "filter --scores" must be able to
// tell whether a model was asked for.
func modelPath(c *cli.Context) (string, error) {
	for _, m := range []string{c.String("model"), os.Getenv("WINNOW_MODEL")} {
		if m != "" {
			return m, nil
		}
	}
	tried := []string{filepath.Join("models", defaultModel)}
	if exe, err := os.Executable(); err == nil {
		tried = append(tried, filepath.Join(filepath.Dir(exe), "..", "models", defaultModel))
	}
	for _, path := range tried {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", modelError{fmt.Errorf("no model: give one with -m FILE, or run make model for the default one (looked for %s)", strings.Join(tried, " and "))}
}

func openEngine(o engine.Options) (*engine.Engine, error) {
	warning, err := engine.CheckCPU()
	if err != nil {
		return nil, modelError{err}
	}
	if warning != "" {
		slog.Warn(warning)
	}
	e, err := engine.Open(o)
	if err != nil {
		return nil, modelError{err}
	}
	return e, nil
}

func gradeOptions(c *cli.Context) (grader.GradeOptions, error) {
	o := grader.GradeOptions{Limit: c.Int("limit"), MaxOffScale: c.Float64("max-off-scale")}
	if !(o.MaxOffScale >= 0 && o.MaxOffScale <= 1) {
		return o, usagef("--max-off-scale %g: want a share from 0 to 1", o.MaxOffScale)
	}
	return o, nil
}

// exists reports whether there is a file with something in it.
func exists(path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Size() > 0, err
}

// sameFile reports whether both paths lead to one existing file.
func sameFile(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}
