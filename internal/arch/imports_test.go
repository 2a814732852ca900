package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what `go list` says of a package, without its tests.
type pkg struct {
	ImportPath string
	Imports    []string
	CgoFiles   []string
	CXXFiles   []string
}

// list returns the module's packages and all that they depend on.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,CgoFiles,CXXFiles", "winnow/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // without it, C would be invisible
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
}

// within reports whether path is one of the roots or below it.
func within(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

// links reports whether a package brings in C, or C++.
func links(path string) bool {
	return within(path, "C", "winnow/llama", "github.com/ollama/ollama") || path == "runtime/cgo"
}

// optional reports whether a package does without its C where cgo is off, so that
// what depends on it still builds with Go alone.
func optional(path string) bool {
	return within(path, "winnow/kernels", "github.com/ebitengine/purego")
}

// standard reports whether a package is of Go's own library.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && first != "winnow"
}

// stage reports whether a package is a stage of grading, free of C++.
func stage(path string) bool {
	return path != "winnow/grader" && within(path, "winnow/grader") && !within(path, "winnow/grader/engine", "winnow/grader/child")
}

// violations returns what breaks the rules, sorted.
func violations(pkgs []pkg) []string {
	imports := map[string][]string{}
	for _, p := range pkgs {
		imports[p.ImportPath] = p.Imports
	}
	var found []string
	report := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	// reaches reports a chain of imports from a package to one that is forbidden.
	reaches := func(from string, forbidden func(string) bool) {
		seen := map[string]bool{}
		var walk func(chain []string) bool
		walk = func(chain []string) bool {
			for _, next := range imports[chain[len(chain)-1]] {
				if seen[next] {
					continue
				}
				seen[next] = true
				longer := append(slices.Clone(chain), next)
				if last := chain[len(chain)-1]; standard(last) || optional(last) {
					continue // its own C is no C++ of ours
				}
				if forbidden(next) {
					report("%s must not depend on %s: %s", from, next, strings.Join(longer, " → "))
					return true
				}
				if walk(longer) {
					return true
				}
			}
			return false
		}
		walk([]string{from})
	}

	for _, p := range pkgs {
		self := p.ImportPath
		if !within(self, "winnow") {
			continue
		}
		if !within(self, "winnow/llama", "winnow/kernels") && (len(p.CgoFiles) > 0 || slices.Contains(p.Imports, "C")) {
			report("%s must not use cgo: only winnow/llama and winnow/kernels do", self)
		}
		if within(self, "winnow/kernels") && len(p.CXXFiles) > 0 {
			report("%s must not have C++ files: without a C++ compiler it would not build", self)
		}
		for _, to := range p.Imports {
			switch {
			case within(to, "winnow/cmd"):
				report("%s must not import %s: nothing imports a command", self, to)
			case within(to, "winnow/bench") && self != "winnow/cmd/winnow":
				report("%s must not import %s: only winnow/cmd/winnow does", self, to)
			case within(self, "winnow/bench/synthetic") && within(to, "winnow") && !within(to, "winnow/internal"):
				report("%s must not import %s: it knows files, not grading", self, to)
			case stage(self) && (to == "winnow/grader" || within(to, "winnow/grader/engine")):
				report("%s must not import %s: it is a stage of it", self, to)
			case within(self, "winnow/llama") && within(to, "winnow/grader"):
				report("%s must not import %s: it knows tokens, not records", self, to)
			case within(self, "winnow/kernels") && within(to, "winnow") && !within(to, "winnow/kernels", "winnow/internal"):
				report("%s must not import %s: it knows numbers, not tokens or records", self, to)
			case within(self, "winnow/internal") && within(to, "winnow") && !within(to, "winnow/internal"):
				report("%s must not import %s: it is below all others", self, to)
			}
		}
		if self == "winnow/grader" || stage(self) || within(self, "winnow/grader/child") || within(self, "winnow/bench/synthetic") {
			reaches(self, links)
		}
	}
	slices.Sort(found)
	return found
}

func TestImports(t *testing.T) {
	pkgs := list(t)
	for _, want := range []string{
		"winnow/cmd/winnow", "winnow/bench", "winnow/bench/synthetic", "winnow/grader", "winnow/grader/child", "winnow/grader/engine", "winnow/grader/record",
		"winnow/llama", "winnow/kernels", "winnow/internal/bpe", "winnow/internal/gguf", "winnow/internal/tinygguf", "github.com/ollama/ollama/llama/llama.cpp/src", "runtime/cgo",
	} {
		if !slices.ContainsFunc(pkgs, func(p pkg) bool { return p.ImportPath == want }) {
			t.Errorf("go list does not name %s", want)
		}
	}
	for _, p := range pkgs {
		if p.ImportPath == "winnow/llama" && len(p.CgoFiles) == 0 {
			t.Error("go list does not see that winnow/llama uses cgo")
		}
	}
	for _, v := range violations(pkgs) {
		t.Error(v)
	}
}

// TestViolations checks the checker: each forbidden import is reported.
func TestViolations(t *testing.T) {
	good := []pkg{
		{ImportPath: "winnow/cmd/winnow", Imports: []string{"winnow/bench", "winnow/bench/synthetic", "winnow/grader/engine", "os"}},
		{ImportPath: "winnow/bench", Imports: []string{"winnow/grader", "winnow/grader/engine", "winnow/llama"}},
		{ImportPath: "winnow/bench/synthetic", Imports: []string{"winnow/internal/other", "os"}},
		{ImportPath: "winnow/grader", Imports: []string{"winnow/grader/record", "example.com/lib"}},
		{ImportPath: "winnow/grader/record", Imports: []string{"os"}},
		{ImportPath: "winnow/grader/verdict", Imports: []string{"winnow/grader/record", "winnow/kernels"}},
		{ImportPath: "winnow/grader/child", Imports: []string{"winnow/grader", "os"}},
		{ImportPath: "winnow/grader/engine", Imports: []string{"winnow/grader", "winnow/llama", "winnow/internal/osthread"}},
		{ImportPath: "winnow/internal/osthread", Imports: []string{"sync"}},
		{ImportPath: "winnow/internal/other", Imports: []string{"winnow/internal/osthread", "sync"}},
		{ImportPath: "winnow/llama", Imports: []string{"C", "github.com/ollama/ollama/llama/llama.cpp/src"}, CgoFiles: []string{"cgo.go"}},
		{ImportPath: "winnow/kernels", Imports: []string{"C", "github.com/ebitengine/purego", "winnow/internal/osthread"}, CgoFiles: []string{"x_cpu.go"}},
		{ImportPath: "github.com/ebitengine/purego", Imports: []string{"runtime/cgo", "unsafe"}},
		{ImportPath: "github.com/ollama/ollama/llama/llama.cpp/src", Imports: []string{"C", "runtime/cgo"}, CgoFiles: []string{"llama.go"}},
		{ImportPath: "example.com/lib", Imports: []string{"os"}},
		{ImportPath: "example.com/c", Imports: []string{"runtime/cgo"}},
	}
	if got := violations(good); len(got) > 0 {
		t.Fatalf("good packages: %q", got)
	}
	for _, c := range []struct{ from, to, want string }{
		{"winnow/bench", "winnow/cmd/winnow", "winnow/bench must not import winnow/cmd/winnow: nothing imports a command"},
		{"winnow/grader/engine", "winnow/bench", "winnow/grader/engine must not import winnow/bench: only winnow/cmd/winnow does"},
		{"winnow/grader/record", "winnow/grader", "winnow/grader/record must not import winnow/grader: it is a stage of it"},
		{"winnow/llama", "winnow/grader/record", "winnow/llama must not import winnow/grader/record: it knows tokens, not records"},
		{"winnow/kernels", "winnow/llama", "winnow/kernels must not import winnow/llama: it knows numbers, not tokens or records"},
		{"winnow/kernels", "winnow/grader/record", "winnow/kernels must not import winnow/grader/record: it knows numbers, not tokens or records"},
		{"winnow/kernels", "winnow/bench", "winnow/kernels must not import winnow/bench: only winnow/cmd/winnow does"},
		{"winnow/internal/osthread", "winnow/grader/record", "winnow/internal/osthread must not import winnow/grader/record: it is below all others"},
		{"winnow/bench", "winnow/bench/synthetic", "winnow/bench must not import winnow/bench/synthetic: only winnow/cmd/winnow does"},
		{"winnow/bench/synthetic", "winnow/grader/record", "winnow/bench/synthetic must not import winnow/grader/record: it knows files, not grading"},
		{"winnow/bench/synthetic", "winnow/llama", "winnow/bench/synthetic must not depend on winnow/llama: winnow/bench/synthetic → winnow/llama"},
		{"winnow/grader/verdict", "winnow/llama", "winnow/grader/verdict must not depend on winnow/llama: winnow/grader/verdict → winnow/llama"},
		{"winnow/grader/verdict", "winnow/grader/engine", "winnow/grader/verdict must not import winnow/grader/engine: it is a stage of it"},
		{"winnow/grader/child", "winnow/grader/engine", "winnow/grader/child must not depend on winnow/llama: winnow/grader/child → winnow/grader/engine → winnow/llama"},
		{"winnow/grader", "winnow/grader/engine", "winnow/grader must not depend on winnow/llama: winnow/grader → winnow/grader/engine → winnow/llama"},
		{"example.com/lib", "example.com/c", "winnow/grader must not depend on runtime/cgo: winnow/grader → example.com/lib → example.com/c → runtime/cgo"},
		{"winnow/grader/record", "C", "winnow/grader/record must not use cgo: only winnow/llama and winnow/kernels do"},
	} {
		bad := slices.Clone(good)
		i := slices.IndexFunc(bad, func(p pkg) bool { return p.ImportPath == c.from })
		bad[i].Imports = append(slices.Clone(bad[i].Imports), c.to)
		if got := violations(bad); !slices.Contains(got, c.want) {
			t.Errorf("%s imports %s: reported %q, want %q among them", c.from, c.to, got, c.want)
		}
	}
	bad := slices.Clone(good)
	i := slices.IndexFunc(bad, func(p pkg) bool { return p.ImportPath == "winnow/kernels" })
	bad[i].CXXFiles = []string{"fibers.cpp"}
	if got, want := violations(bad), "winnow/kernels must not have C++ files: without a C++ compiler it would not build"; !slices.Equal(got, []string{want}) {
		t.Errorf("kernels with C++: reported %q, want %q", got, want)
	}
	bad = slices.Clone(good)
	bad[0].CgoFiles = []string{"main.go"}
	if got, want := violations(bad), "winnow/cmd/winnow must not use cgo: only winnow/llama and winnow/kernels do"; !slices.Equal(got, []string{want}) {
		t.Errorf("a command with cgo: reported %q, want %q", got, want)
	}
}
