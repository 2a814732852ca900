package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"winnow/grader/engine"
	"winnow/llama"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "check the build, the devices, the numerics and a model",
		Description: `Example:
  winnow doctor -m model.gguf

Without -m, the default model is looked at if it is there. Exit code 1: the
build computes wrongly or cannot run here; 4: the model cannot grade.`,
		Flags:        engineFlags(),
		OnUsageError: onUsageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("doctor takes no argument %q: give a model with -m", c.Args().First())
			}
			w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
			err := diagnose(c, w)
			return errors.Join(err, w.Flush())
		},
	}
}

func diagnose(c *cli.Context, w *tabwriter.Writer) error {
	fmt.Fprintf(w, "winnow\t%s, %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(w, "engine\t%s\n", llama.Version())
	var build, missed []string
	for _, f := range engine.Features() {
		if f.Build {
			build = append(build, f.Name)
		} else {
			missed = append(missed, f.Name)
		}
	}
	fmt.Fprintf(w, "compiled for\t%s\n", strings.Join(build, " "))
	if len(missed) > 0 {
		fmt.Fprintf(w, "not used\t%s\n", strings.Join(missed, " "))
	}
	warning, err := engine.CheckCPU()
	if err != nil {
		return err
	}
	if warning != "" {
		fmt.Fprintf(w, "warning\t%s\n", warning)
	}
	fmt.Fprintf(w, "cores\t%d usable of %d\n", runtime.GOMAXPROCS(0), runtime.NumCPU())
	for _, d := range llama.Devices() {
		fmt.Fprintf(w, "device\t%s %s", d.Name, d.Description)
		if d.MemoryTotal > 0 {
			fmt.Fprintf(w, ", %.1f of %.1f GiB free", gib(d.MemoryFree), gib(d.MemoryTotal))
		}
		fmt.Fprintln(w)
	}
	diff, err := engine.SelfTest(c.Context)
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	fmt.Fprintf(w, "self-test\tpassed: packed ratings equal plain ones to %.1g\n", diff)

	path, err := modelPath(c)
	if err != nil {
		if c.String("model") == "" {
			fmt.Fprintf(w, "model\tnone: give one with -m\n")
			return nil
		}
		return err
	}
	return diagnoseModel(c, w, path)
}

func diagnoseModel(c *cli.Context, w *tabwriter.Writer, path string) (err error) {
	o, err := engineOptions(c)
	if err != nil {
		return err
	}
	e, err := openEngine(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	info, m := e.Info(), e.Manifest()
	fmt.Fprintf(w, "model\t%s\n", path)
	fmt.Fprintf(w, "  sha256\t%s\n", m.Model.SHA256)
	fmt.Fprintf(w, "  kind\t%s, %d layers, width %d, %d tokens in the vocabulary\n", info.Description, info.Layers, info.Embd, e.Model().Vocab().Size())
	fmt.Fprintf(w, "  size\t%.2f GiB, %.0f M weights\n", gib(info.SizeBytes), float64(info.Params)/1e6)
	fmt.Fprintf(w, "  context\t%d tokens in training, %d used for a record\n", info.CtxTrain, e.Options().Ctx)
	fmt.Fprintf(w, "  device\t%s\n", m.Runtime.Device)
	fmt.Fprintf(w, "  chat template\t%s\n", e.Note())
	fmt.Fprintf(w, "  rubric\t%s: %d tokens shared by all records, %d more for each record's rating\n", strings.Join(m.Criteria(), ", "), e.PrefixTokens(), e.RatingTokens())
	return nil
}

func gib(bytes uint64) float64 { return float64(bytes) / (1 << 30) }
