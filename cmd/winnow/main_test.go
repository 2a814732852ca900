package main

import (
	"log"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"winnow/internal/tinygguf"
)

// models are the files that scripts find in the folder $MODELS.
var models = map[string]tinygguf.Options{
	"tiny.gguf":    {},
	"tinyspm.gguf": {Tokenizer: tinygguf.SPM},
	"other.gguf":   {Seed: 7},         // the same model with other weights
	"mute.gguf":    {DigitBias: -10},  // hardly ever answers with a rating
	"short.gguf":   {Ctx: 512},        // a short context
	"alien.gguf":   {Arch: "mystery"}, // no engine knows its architecture
}

// modelsDir is where they are. TestMain writes it before the tests begin.
var modelsDir string

// suite writes the models, runs the tests and removes the models.
type suite struct{ m *testing.M }

func (s suite) Run() (code int) {
	dir, err := os.MkdirTemp("", "winnow-models-")
	if err != nil {
		log.Print(err)
		return 1
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			log.Print(err)
			code = 1
		}
	}()
	modelsDir = dir
	for name, o := range models {
		if err := tinygguf.WriteFile(filepath.Join(dir, name), o); err != nil {
			log.Print(err)
			return 1
		}
	}
	return s.m.Run()
}

func TestMain(m *testing.M) {
	if isChild() { // tests run the program within their process too
		os.Exit(childMain())
	}
	testscript.Main(suite{m}, map[string]func(){"winnow": main})
}

// TestScript runs the sessions of testdata/script with the real engine.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Values[locksKey{}] = map[string]*os.File{}
			e.Setenv("MODELS", modelsDir)
			e.Setenv("TINY", filepath.Join(modelsDir, "tiny.gguf"))
			// Scripts run side by side: one thread each, so that none spins while
			// another one computes.
			e.Setenv("GOMAXPROCS", "1")
			e.Setenv("WINNOW_CUDA", "off") // the sessions are those of a CPU
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode":  exitcodeCmd,
			"write":     writeCmd,
			"cut":       cutCmd,
			"replace":   replaceCmd,
			"pack":      packCmd,
			"records":   recordsCmd,
			"bigrecord": bigRecordCmd,
			"hold":      holdCmd,
			"partition": partitionCmd,
			"strike":    strikeCmd,
			"sql":       sqlCmd,
		},
	})
}
