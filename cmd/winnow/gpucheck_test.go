package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestGPUCheck tries scripts/gpu-check.sh on the CPU, with tiny models: all that is
// left for a GPU machine to show is what its GPU does.
func TestGPUCheck(t *testing.T) {
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/gpucheck",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SOURCE", source)
			e.Setenv("TINY", filepath.Join(modelsDir, "tiny.gguf"))
			e.Setenv("GOMAXPROCS", "1") // as TestScript has it
			e.Setenv("WINNOW_GPU_CHECK_DEVICE", "cpu")
			e.Setenv("WINNOW_GPU_CHECK_MODELS", filepath.Join(e.WorkDir, "models"))
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exitcode": exitcodeCmd},
	})
}
