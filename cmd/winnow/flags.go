package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"winnow/bench"
	"winnow/grader"
	"winnow/grader/engine"
	"winnow/grader/journal"
	"winnow/grader/placement"
	"winnow/grader/rubric"
	"winnow/grader/signal"
)

// defaultModel is what `make model` makes.
const defaultModel = "smollm2-135m-instruct.gguf"

// defaultMaxOffScale refuses a rating that less than a hundredth of the
// probability speaks for: it would be read from answers that the model does not
// give.
const defaultMaxOffScale = 0.99

func engineFlags() []cli.Flag {
	return append(deviceFlags(),
		&cli.StringFlag{Name: "model", Aliases: []string{"m"}, Usage: "GGUF `FILE` of the grader (default: $WINNOW_MODEL, or the model that make model fetches)"},
		&cli.StringFlag{Name: "rubric", Aliases: []string{"r"}, Usage: "`NAME` of a shipped rubric, or a file; winnow rubrics lists them. Several, with commas between, are rated in one pass: accuracy,helpfulness", Value: rubric.Default},
		&cli.IntFlag{Name: "ctx-size", Aliases: []string{"c"}, Usage: "`TOKENS` that one record's prompt may have; 0: 4096, or the model's if less"},
		&cli.IntFlag{Name: "ubatch-size", Aliases: []string{"ub"}, DefaultText: fmt.Sprintf("the profile's, or %d; for large models on large GPUs 2048", engine.DefaultBatch), Usage: "`TOKENS` of one batch"},
		&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, DefaultText: "the profile's, or all cores that the process may use, divided among the contexts", Usage: "CPU `THREADS` of each context"},
		&cli.IntFlag{Name: "contexts", DefaultText: "the profile's, or 1; on a GPU 2", Usage: "rate `N` batches side by side, each in a context of its own"},
		&cli.StringFlag{Name: "flash-attn", Aliases: []string{"fa"}, Value: "auto", Usage: "flash attention: `on|off|auto`; auto is what a scores file was begun with, else the profile's, else on"},
		&cli.BoolFlag{Name: "deterministic", Usage: "ratings that do not depend on the order of records or on -ub, to the last bit"},
		&cli.BoolFlag{Name: "no-profile", Usage: "do not use the settings that winnow bench --tune saved"},
		&cli.StringFlag{Name: "signals", DefaultText: "what a scores file was begun with, else none", Usage: "measure `LIST` of each record beside its ratings: tokens (counts, free), nll (loss and perplexity of the response), ifd (two more sequences a record), ifd-plain (one more), hidden (a layer's state: kilobytes in the scores file), all (all but hidden) or none"},
		&cli.IntFlag{Name: "hidden-layer", DefaultText: "two thirds of the layers", Usage: "layer `N`, from 1, whose output --signals hidden keeps"},
		&cli.StringFlag{Name: "too-long", Value: string(engine.Skip), Usage: "a record that does not fit: `skip|truncate` (truncate leaves out the middle of the response and marks the entry)"},
	)
}

func gradingFlags() []cli.Flag {
	return append(engineFlags(),
		&cli.Float64Flag{Name: "max-off-scale", Value: defaultMaxOffScale, Usage: "no rating if more than this `SHARE` of the probability is on answers that are no rating"},
		&cli.StringFlag{Name: "calibration", Usage: "`FILE` of winnow calibrate: entries get the probability that the record is to be kept; the signals that it reads are computed"},
		&cli.BoolFlag{Name: "in-process", Usage: "keep the engine in this process, for debugging and measuring: if it crashes, the run ends"},
	)
}

// engineOptions are the options of an engine in this process.
func engineOptions(c *cli.Context) (engine.Options, error) {
	o, err := flagOptions(c)
	if err != nil {
		return o, err
	}
	if err := singleResponse(o.Rubrics); err != nil {
		return o, err
	}
	gpus, err := usable(o, ownGPUs(o))
	if err != nil {
		return o, err
	}
	return o, applyProfile(c, &o, gpus)
}

// flagOptions are the options that the command line asks for.
func flagOptions(c *cli.Context) (o engine.Options, err error) {
	o = engine.Options{
		Ctx: c.Int("ctx-size"), Batch: c.Int("ubatch-size"), Threads: c.Int("threads"), Lanes: c.Int("contexts"),
		TooLong: engine.TooLong(c.String("too-long")),
	}
	if err := deviceOptions(c, &o); err != nil {
		return o, err
	}
	fa := c.String("flash-attn")
	if !slices.Contains([]string{"on", "off", "auto"}, fa) {
		return o, usagef("--flash-attn %s: want on, off or auto", fa)
	}
	o.Deterministic, o.NoFlashAttention = c.Bool("deterministic"), fa == "off"
	if o.Deterministic && o.NoFlashAttention {
		return o, usagef("--deterministic needs flash attention: without it a rating depends on what shares its batch")
	}
	if o.TooLong != engine.Skip && o.TooLong != engine.Truncate {
		return o, usagef("--too-long %s: want skip or truncate", o.TooLong)
	}
	if o.Ctx < 0 || o.Batch < engine.MinBatch && c.IsSet("ubatch-size") || o.Threads < 0 || o.Lanes < 0 {
		return o, usagef("-c, -t and --contexts must be 0 or more, -ub %d or more", engine.MinBatch)
	}
	if err := signalOptions(c, &o); err != nil {
		return o, err
	}
	if o.Rubrics, err = rubric.LoadAll(c.String("rubric")); err != nil {
		return o, usageError{err}
	}
	o.Model, err = modelPath(c)
	return o, err
}

// signalOptions are the signals that the command line asks for.
func signalOptions(c *cli.Context, o *engine.Options) (err error) {
	list := c.String("signals")
	if list == "none" {
		list = ""
	}
	if o.Signals, err = signal.Parse(list); err != nil {
		return usagef("--signals %s: %w; or none", c.String("signals"), err)
	}
	o.HiddenLayer = c.Int("hidden-layer")
	switch {
	case o.HiddenLayer < 0 || o.HiddenLayer == 0 && c.IsSet("hidden-layer"):
		return usagef("--hidden-layer %d: want a layer from 1", o.HiddenLayer)
	case o.HiddenLayer > 0 && !o.Signals.Has(signal.Hidden):
		return usagef("--hidden-layer %d goes with --signals hidden, which is not asked for", o.HiddenLayer)
	}
	return nil
}

func rubricNames(rubrics []rubric.Rubric) (names []string) {
	for _, r := range rubrics {
		names = append(names, r.Name)
	}
	return names
}

// singleResponse makes sure that no rubric compares two responses: the records of
// data files have one.
func singleResponse(rubrics []rubric.Rubric) error {
	for _, r := range rubrics {
		if r.Pairwise() {
			return usagef("rubric %s compares two responses, and records have one: use winnow evaluate or winnow judge, or a rubric without {other}", r.Name)
		}
	}
	return nil
}

// applyProfile takes the settings that the command line leaves open from the
// model's profile, if there is one for these GPUs.
func applyProfile(c *cli.Context, o *engine.Options, gpus []placement.Device) error {
	if c.Bool("no-profile") || c.Bool("tune") {
		return nil
	}
	p, path, err := bench.LoadProfile(o.Model, o.GPULayers, kinds(gpus)...)
	if path == "" || err == nil && p == nil {
		return nil // a model that cannot be read: opening it says so
	}
	if err != nil {
		return err
	}
	p.Apply(o)
	if c.String("flash-attn") == "auto" && !o.Deterministic {
		o.NoFlashAttention = !p.FlashAttention
	}
	slog.Debug("settings of the profile", "path", path, "batch", o.Batch, "contexts", o.Lanes, "threads", o.Threads, "flash_attention", !o.NoFlashAttention)
	return nil
}

// keepJudge lets a scores file that was begun go on with the attention and the GPU's
// kernels that it was begun with, if the command line does not say which, and with
// its signals, if they are open.
func keepJudge(c *cli.Context, o *engine.Options, g *grader.GradeOptions, open bool, path string) {
	m, err := journal.ReadManifest(path)
	if err != nil {
		return // whatever is wrong with it, opening it says so
	}
	if begun, ok := m.Settings["flash_attention"]; ok && c.String("flash-attn") == "auto" && !o.Deterministic {
		o.NoFlashAttention = begun == "false"
	}
	if begun := m.Settings["kernels"]; o.Matmul == "" && slices.Contains(matmulKernels, begun) {
		o.Matmul = begun
	}
	if !open {
		return
	}
	o.Signals = o.Signals.Union(m.Measured()) // some may be there for a calibration
	if m.Hidden != nil {
		o.HiddenLayer, g.DropHidden = m.Hidden.Layer+1, false
	}
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

// checkCPU refuses a build that the processor cannot run, and warns of one that is
// slower than it need be.
func checkCPU() error {
	warning, err := engine.CheckCPU()
	if err != nil {
		return modelError{err}
	}
	if warning != "" {
		slog.Warn(warning)
	}
	return nil
}

func openEngine(o engine.Options) (*engine.Engine, error) {
	if err := checkCPU(); err != nil {
		return nil, err
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
