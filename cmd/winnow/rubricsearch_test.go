package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestRubricSearch runs bench/rubrics.sh with a tiny model.
func TestRubricSearch(t *testing.T) {
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"rubrics.sh", "rubrics.py", "rubrics/groups"} { // so that go test runs it again when one has changed
		if _, err := os.ReadFile(filepath.Join(source, "bench", f)); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/rubricsearch",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("BENCH", filepath.Join(source, "bench"))
			e.Setenv("TINY", filepath.Join(modelsDir, "tiny.gguf"))
			e.Setenv("WINNOW", "winnow") // the program under test
			e.Setenv("GOMAXPROCS", "1")  // as TestScript has it
			e.Setenv("WINNOW_CUDA", "off")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": exitcodeCmd},
	})
}
