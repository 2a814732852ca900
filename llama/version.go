package llama

import "runtime/debug"

// module is where the C++ sources come from, upstream the llama.cpp commit that
// it holds (Makefile.sync in the module; CONTRIBUTING.md says how to change the pin).
const (
	module   = "github.com/ollama/ollama"
	upstream = "ec98e2002"
)

// Version names the engine that is compiled in.
func Version() string {
	version := "of unknown version"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == module {
				version = m.Version
			}
		}
	}
	return "llama.cpp " + upstream + " from " + module + " " + version
}
