package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/engine"
	"winnow/grader/journal"
	"winnow/grader/signal"
)

// withFlags calls do with the flags of grading.
func withFlags(t *testing.T, args string, do func(c *cli.Context) error) error {
	t.Helper()
	app := cli.NewApp()
	app.Flags = gradingFlags()
	app.Action = do
	return app.Run(append([]string{"winnow"}, strings.Fields(args)...))
}

func TestSignalOptions(t *testing.T) {
	for args, want := range map[string]struct {
		signals string
		layer   int
		err     string
	}{
		"":                                   {},
		"--signals none":                     {},
		"--signals nll":                      {signals: "nll"},
		"--signals ifd,tokens":               {signals: "tokens,ifd"},
		"--signals all":                      {signals: "tokens,nll,ifd,ifd-plain"},
		"--signals all,hidden":               {signals: "tokens,nll,ifd,ifd-plain,hidden"},
		"--signals hidden --hidden-layer 7":  {signals: "hidden", layer: 7},
		"--signals loss":                     {err: `no signals "loss": want tokens, nll, ifd, ifd-plain, hidden, or all`},
		"--signals none,nll":                 {err: `no signals "none"`},
		"--hidden-layer 7":                   {err: "goes with --signals hidden"},
		"--signals nll --hidden-layer 7":     {err: "goes with --signals hidden"},
		"--signals hidden --hidden-layer 0":  {err: "want a layer from 1"},
		"--signals hidden --hidden-layer -1": {err: "want a layer from 1"},
	} {
		var o engine.Options
		err := withFlags(t, args, func(c *cli.Context) error { return signalOptions(c, &o) })
		var usage usageError
		switch {
		case want.err != "":
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), want.err) {
				t.Errorf("%q: %v, want %s", args, err, want.err)
			}
		case err != nil || o.Signals.String() != want.signals || o.HiddenLayer != want.layer:
			t.Errorf("%q: signals %q, layer %d, %v; want %q, %d", args, o.Signals, o.HiddenLayer, err, want.signals, want.layer)
		}
	}
}

// A scores file goes on with the signals that it was begun with, unless the command
// line names others.
func TestKeepSignals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	m := journal.Manifest{
		Model: journal.Model{Name: "m", SHA256: "00"}, Rubrics: []journal.Rubric{{Name: "r", SHA256: "11"}}, Scale: journal.Scale{Strings: []string{"0", "1"}, Values: []float64{0, 1}},
		Signals: []string{"nll", "ppl"}, Hidden: &journal.Hidden{Layer: 3, Size: 8},
	}
	j, err := journal.Open(path, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args, path string
		needed     signal.Set // by a calibration
		signals    string
		layer      int
		drop       bool
	}{
		{"", path, nil, "nll,hidden", 4, false},
		{"", path, signal.Set{signal.Tokens, signal.Hidden}, "tokens,nll,hidden", 4, false},
		{"--signals ifd", path, nil, "ifd", 0, true},
		{"--signals none", path, nil, "", 0, true},
		{"", path + ".new", signal.Set{signal.Hidden}, "hidden", 0, true},
	} {
		var o engine.Options
		g := grader.GradeOptions{DropHidden: true}
		err := withFlags(t, tc.args, func(c *cli.Context) error {
			err := signalOptions(c, &o)
			o.Signals = o.Signals.Union(tc.needed)
			keepJudge(c, &o, &g, !c.IsSet("signals"), tc.path)
			return err
		})
		if err != nil || o.Signals.String() != tc.signals || o.HiddenLayer != tc.layer || g.DropHidden != tc.drop {
			t.Errorf("%+v: signals %q, layer %d, dropped %t, %v", tc, o.Signals, o.HiddenLayer, g.DropHidden, err)
		}
	}
}
