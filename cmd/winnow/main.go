// Command winnow rates instruction-tuning records with a local model and keeps
// what is worth training on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"winnow/llama"
)

// version is set by the Makefile.
var version = "dev"

func main() {
	if isChild() {
		os.Exit(childMain())
	}
	ctx, stop := interruptible(context.Background())
	defer stop()
	os.Exit(run(ctx, os.Args, os.Stdout, os.Stderr))
}

// run is the program without the process around it. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := newApp(stdout, stderr)
	ordered, err := flagsFirst(app, args)
	if err == nil {
		err = app.RunContext(ctx, ordered)
	}
	if err != nil && errors.Is(err, context.Canceled) {
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w: %w", cause, err)
		}
	}
	return report(stderr, err, slices.Contains(args, "--json"))
}

func newApp(stdout, stderr io.Writer) *cli.App {
	return &cli.App{
		Name:    "winnow",
		Usage:   "rate instruction-tuning data with a local model and keep what is worth training on",
		Version: version + ", " + llama.Version(),
		Description: `Examples:
  winnow filter data.json -m model.gguf --min 4.5 -o kept.json   grade and keep
  winnow grade data.json -m model.gguf -o scores.jsonl           ratings only; run again to resume
  winnow filter data.json --scores scores.jsonl --top 9000       decide again, no model needed
  winnow merge scores-*-of-8.jsonl -o scores.jsonl               one scores file of eight machines
  winnow inspect data.json --index 17 -m model.gguf              the exact prompt and the distribution
  winnow doctor -m model.gguf                                    is this build right for this machine?

Exit codes: 0 done; 1 failed; 2 usage; 3 done, but some records could not be
graded; 4 model or device unavailable; 5 damaged or mismatching scores file;
6 scores file in use by another run; 130, 143 interrupted, run again to resume.`,
		Writer:                 stdout,
		ErrWriter:              stderr,
		HideHelpCommand:        true,
		UseShortOptionHandling: false, // -ngl and -ub are flags, not three and two
		EnableBashCompletion:   true,
		Suggest:                true,
		ExitErrHandler:         func(*cli.Context, error) {}, // report does it
		OnUsageError:           onUsageError,
		Before: func(c *cli.Context) error {
			level := slog.LevelWarn
			switch {
			case c.Bool("debug"):
				level = slog.LevelDebug
			case c.Bool("verbose"):
				level = slog.LevelInfo
			}
			slog.SetDefault(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime})))
			return nil
		},
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verbose", Usage: "also tell what is normal"},
			&cli.BoolFlag{Name: "debug", Usage: "tell everything, llama.cpp's messages included"},
		},
		Commands: []*cli.Command{
			gradeCommand(), filterCommand(), selectCommand(), exportCommand(), mergeCommand(), compareCommand(), evaluateCommand(), judgeCommand(), calibrateCommand(), auditCommand(), reportCommand(), cardCommand(), journalCommand(), inspectCommand(),
			rubricsCommand(), doctorCommand(), benchCommand(), modelsCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("unknown command %q: winnow --help lists the commands", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
}

// withoutTime leaves the time out of messages: they are read as they come.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// onUsageError makes urfave's flag errors ours.
func onUsageError(_ *cli.Context, err error, _ bool) error { return usageError{err} }

// interruptible returns a context that the first SIGINT or SIGTERM cancels, with
// the signal as cause. The second ends the process at once.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s, ok := <-signals
		if !ok {
			return
		}
		cancel(signalError{s.(syscall.Signal)})
		if s, ok = <-signals; ok {
			os.Exit(128 + int(s.(syscall.Signal)))
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel(nil)
	}
}
