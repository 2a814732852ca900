package kernels

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// emulatedFlags are g++'s for the .cu files: no fused operations but fmaf, and
// what -fsanitize finds is reported by emulation/runtime.cpp.
var emulatedFlags = []string{
	"-x", "c++", "-std=c++17", "-O1", "-g", "-fPIC", "-fvisibility=hidden", "-U_FORTIFY_SOURCE", "-ffp-contract=off",
	"-Wall", "-Wextra", "-Wno-unknown-pragmas", `-DWINNOW_ARCHITECTURES="emulated"`,
	"-fsanitize=alignment,bounds,integer-divide-by-zero,null,shift,signed-integer-overflow",
}

// live counts what the emulated device has allocated, once it has been opened.
var live atomic.Pointer[func() int32]

// TestMain fails if the tests' devices have not given back everything.
func TestMain(m *testing.M) {
	code := m.Run()
	if count := live.Load(); count != nil && (*count)() != 0 {
		fmt.Fprintf(os.Stderr, "%d allocations, streams and events of the emulated device are left at the end\n", (*count)())
		code = max(code, 1)
	}
	os.Exit(code)
}

// onGPU reports whether the device tests are to run on a GPU.
func onGPU() bool { return os.Getenv("WINNOW_TEST_DEVICE") == "gpu" }

// openEmulated returns the device for tests: the emulation, or, with
// WINNOW_TEST_DEVICE=gpu, the first GPU. It is closed at the test's end.
func openEmulated(t testing.TB) *Device {
	t.Helper()
	if onGPU() {
		d, err := Open(0)
		if err != nil {
			t.Fatalf("WINNOW_TEST_DEVICE=gpu: %v", err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return d
	}
	l := loadEmulated(t, "*.cu")
	fns, err := launchers[emulatedLaunchers](l)
	if err != nil {
		t.Fatal(err)
	}
	live.Store(&fns.Live)
	d, err := l.open(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// needCompiler skips a test of the emulation itself, or of other libraries, where
// the tests run on a GPU: that machine need not have a compiler.
func needCompiler(t testing.TB) {
	t.Helper()
	if onGPU() {
		t.Skip("this test compiles a library, and says nothing of a GPU")
	}
}

// loadEmulated compiles the emulation with base.cu and the sources that the
// patterns match, and loads it. What did not change is not compiled again.
func loadEmulated(t testing.TB, patterns ...string) *library {
	t.Helper()
	path, err := buildEmulated(append(patterns, "base.cu", "emulation/*.cpp"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := loadLibrary(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// building keeps tests from compiling the same thing twice at once.
var building sync.Mutex

// buildEmulated returns the path of a library made of the sources. Objects and
// libraries are kept in build/emulated under hashes of what they are made of.
func buildEmulated(patterns []string) (string, error) {
	building.Lock()
	defer building.Unlock()
	compiler := os.Getenv("CXX")
	if compiler == "" {
		compiler = "g++"
	}
	version, err := exec.Command(compiler, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("the emulation needs a C++ compiler, %s (CXX names another): %w", compiler, err)
	}
	dir, err := filepath.Abs("../build/emulated")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	headers, err := match("*.h", "*.cuh", "emulation/*.h")
	if err != nil {
		return "", err
	}
	sources, err := match(patterns...)
	if err != nil {
		return "", err
	}
	common := []string{string(version), strings.Join(emulatedFlags, " ")}
	objects, errs := make([]string, len(sources)), make([]error, len(sources))
	slots := make(chan struct{}, min(2, runtime.GOMAXPROCS(0)))
	var wg sync.WaitGroup
	for i, source := range sources {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			objects[i], errs[i] = make1(dir, ".o", slices.Concat(headers, []string{source}), common, func(to string) *exec.Cmd {
				return exec.Command(compiler, append(slices.Clone(emulatedFlags), "-c", source, "-o", to)...)
			})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	return make1(dir, ".so", objects, common, func(to string) *exec.Cmd {
		return exec.Command(compiler, append([]string{"-shared", "-Wl,-z,defs", "-o", to}, objects...)...)
	})
}

// match returns the files that match the patterns, sorted, each once.
func match(patterns ...string) ([]string, error) {
	var all []string
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("no file is called %s: tests run in the folder of their package", pattern)
		}
		all = append(all, files...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// make1 returns the file in dir that command makes, unless it is there already from
// the same inputs.
func make1(dir, suffix string, inputs, also []string, command func(to string) *exec.Cmd) (string, error) {
	h := sha256.New()
	for _, s := range also {
		_, _ = fmt.Fprintf(h, "%d %s\n", len(s), s)
	}
	for _, input := range inputs {
		content, err := os.ReadFile(input)
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(h, "%s %d\n%s", filepath.Base(input), len(content), content)
	}
	path := filepath.Join(dir, hex.EncodeToString(h.Sum(nil)[:12])+suffix)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	temporary, err := os.CreateTemp(dir, "*"+suffix)
	if err != nil {
		return "", err
	}
	_ = temporary.Close() // the compiler writes it
	cmd := command(temporary.Name())
	output, err := cmd.CombinedOutput()
	if len(output) > 0 {
		fmt.Fprintf(os.Stderr, "%s\n", output)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("%s: %w", cmd, err), os.Remove(temporary.Name()))
	}
	return path, os.Rename(temporary.Name(), path)
}
