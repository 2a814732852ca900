package llama

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"

	ggml "github.com/ollama/ollama/ml/backend/ggml/ggml/src"
)

// module is where the C++ sources come from, upstream the llama.cpp commit that
// it holds (Makefile.sync in the module; CONTRIBUTING.md says how to change the pin).
const (
	module   = "github.com/ollama/ollama"
	upstream = "ec98e2002"
)

// Version names the engine that is compiled in.
func Version() string {
	version := engineVersion()
	if version == "" {
		version = "of unknown version"
	}
	return "llama.cpp " + upstream + " from " + module + " " + version
}

// engineVersion is the version of the module that this program was built with,
// or "" if it does not know.
func engineVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == module {
				return m.Version
			}
		}
	}
	// The programs of go test have no list of modules, but the names of their
	// sources: github.com/ollama/ollama@v1.2.3/ml/...
	f := runtime.FuncForPC(reflect.ValueOf(ggml.LibPaths).Pointer())
	if f == nil {
		return ""
	}
	file, _ := f.FileLine(f.Entry())
	_, version, _ := strings.Cut(file, module+"@")
	version, _, _ = strings.Cut(version, "/")
	return version
}
