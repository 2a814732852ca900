package kernels

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestOpen opens a device, which runs the self-test.
func TestOpen(t *testing.T) {
	d := openEmulated(t)
	info := d.Info()
	if info.Name == "" || info.Capability < 50 || info.MemoryBytes == 0 || info.FreeBytes > info.MemoryBytes || info.Multiprocessors < 1 {
		t.Errorf("info %+v", info)
	}
	if info.Emulated == onGPU() {
		t.Errorf("emulated is %v", info.Emulated)
	}
	if _, err := d.lib.open(1000); !errors.Is(err, ErrNoDevice) {
		t.Errorf("GPU 1000: got %v, want ErrNoDevice", err)
	}
}

// echo sends numbers through the device's memory and returns what comes back.
func echo(d *Device, in []float64) ([]float64, error) {
	out := make([]float64, len(in))
	return out, d.run(context.Background(), "echo", func(s *session) error {
		a, err := allocSlice[float64](s, len(in))
		if err != nil {
			return err
		}
		if err := uploadSlice(s, a, in); err != nil {
			return err
		}
		if err := s.sync(); err != nil {
			return err
		}
		half := len(in) / 2
		if err := downloadSlice(s, out[half:], at[float64](a, half)); err != nil {
			return err
		}
		return downloadSlice(s, out[:half], a)
	})
}

// TestDevice_concurrent uses a device from several goroutines, each of which must
// get back its own numbers, and opens others beside it.
func TestDevice_concurrent(t *testing.T) {
	d := openEmulated(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for round := range 20 {
				in := make([]float64, (g*37+round*11)%100)
				for i := range in {
					in[i] = float64(g*1_000_000 + round*1000 + i)
				}
				out, err := echo(d, in)
				for i := range in {
					if out[i] != in[i] {
						err = errors.Join(err, errors.New("other numbers came back"))
						break
					}
				}
				if err != nil {
					t.Errorf("goroutine %d, round %d: %v", g, round, err)
					return
				}
			}
			if g%4 == 0 {
				other, err := d.lib.open(0)
				if err == nil {
					err = other.Close()
				}
				if err != nil {
					t.Error(err)
				}
			}
			_ = d.Info()
		})
	}
	wg.Wait()
}

// TestDevice_memory checks that workspaces are used again, that running out of
// memory is an error that a device survives, and that everything is given back.
func TestDevice_memory(t *testing.T) {
	d := openEmulated(t)
	alloc := func(sizes ...int) (at []devicePtr, err error) {
		err = d.run(context.Background(), "alloc", func(s *session) error {
			for _, size := range sizes {
				p, err := s.alloc(size)
				if err != nil {
					return err
				}
				at = append(at, p)
			}
			return nil
		})
		return at, err
	}
	first, err1 := alloc(5000, 1000, 0)
	again, err2 := alloc(1000, 0, 5000)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if first[0] != again[2] || first[1] != again[0] || first[2] != again[1] || first[2] == 0 {
		t.Errorf("workspaces at %x, then at %x: want the same", first, again)
	}
	for _, p := range first {
		if p%blockBytes != 0 {
			t.Errorf("%x is not aligned to %d bytes", p, blockBytes)
		}
	}
	if _, err := alloc(-1); err == nil {
		t.Error("a workspace of -1 bytes: no error")
	}
	whole := int(d.Info().MemoryBytes)
	if _, err := alloc(whole + 1<<20); !errors.Is(err, ErrNoMemory) {
		t.Errorf("more than the device has: got %v, want ErrNoMemory", err)
	}
	// What an earlier session left behind makes room for a later one.
	size := int(d.Info().FreeBytes) / 5 * 2
	for _, size := range []int{size, size + 1<<20, size + 2<<20} {
		if _, err := alloc(size); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if out, err := echo(d, []float64{1, 2, 3}); err != nil || out[2] != 3 {
		t.Errorf("after all this: %g, %v", out, err)
	}
}

// TestDevice_poison checks that fresh memory is NaN where tests and the debug mode
// want it so: reading what nothing wrote then shows.
func TestDevice_poison(t *testing.T) {
	t.Setenv("WINNOW_KERNELS_DEBUG", "1")
	d := openEmulated(t)
	for range 2 { // fresh memory, then the same again
		out := make([]float32, 100)
		err := d.run(context.Background(), "poison", func(s *session) error {
			a, err := allocSlice[float32](s, len(out))
			if err != nil {
				return err
			}
			if err := downloadSlice(s, out, a); err != nil {
				return err
			}
			return uploadSlice(s, a, make([]float32, len(out)))
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range out {
			if v == v {
				t.Fatalf("element %d is %g, want NaN", i, v)
			}
		}
	}
}

// TestDevice_ends checks a cancelled wait, a function's own error, a panic and a
// closed device.
func TestDevice_ends(t *testing.T) {
	d := openEmulated(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.run(ctx, "x", func(*session) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
	own := errors.New("own")
	if err := d.run(context.Background(), "x", func(*session) error { return own }); !errors.Is(err, own) {
		t.Errorf("the function's own error: got %v", err)
	}
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("the panic did not come back")
			}
		}()
		_ = d.run(context.Background(), "x", func(*session) error { panic("boom") })
	}()
	if _, err := echo(d, []float64{1}); err != nil {
		t.Errorf("after a panic: %v", err)
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Error(err)
	}
	if _, err := echo(d, []float64{1}); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: got %v, want ErrClosed", err)
	}
	if d.Info().Name == "" {
		t.Error("a closed device has forgotten its name")
	}
}

// TestDevice_trace checks that every launch is reported while it is asked for.
func TestDevice_trace(t *testing.T) {
	d := openEmulated(t)
	var seen []Launch
	if err := d.SetTrace(func(l Launch) { seen = append(seen, l) }); err != nil {
		t.Fatal(err)
	}
	if err := d.selfTest(); err != nil {
		t.Fatal(err)
	}
	if err := d.SetTrace(nil); err != nil {
		t.Fatal(err)
	}
	if err := d.selfTest(); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || seen[0].Op != "self-test" || seen[0].Name != "winnow_selftest" || seen[0].Elapsed <= 0 || seen[0].Elapsed > time.Minute {
		t.Errorf("traced %+v, want one launch of the self-test", seen)
	}
}

// TestLibrary_find checks where the library is looked for, and what is said when it
// is not there or is something else.
func TestLibrary_find(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := findBeside(bin); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "make kernels") {
		t.Errorf("no library: got %v", err)
	}
	for _, place := range []string{"build/kernels", "lib/winnow", "bin"} { // the later, the earlier found
		folder := filepath.Join(dir, place)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		want := filepath.Join(folder, libraryName)
		if err := os.WriteFile(want, []byte("no library"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := findBeside(bin); err != nil || got != want {
			t.Errorf("found %s (%v), want %s", got, err, want)
		}
	}
	for value, want := range map[string]string{
		"off":                           "WINNOW_KERNELS is off",
		filepath.Join(dir, "absent.so"): "absent.so",
		filepath.Join(bin, libraryName): libraryName,
	} {
		t.Setenv("WINNOW_KERNELS", value)
		_, err := Open(0)
		if !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), want) {
			t.Errorf("WINNOW_KERNELS=%s: got %v, want ErrNoLibrary with %q", value, err, want)
		}
		if s := Status(); !errors.Is(s.Err, ErrNoLibrary) || s.Path != "" || !strings.Contains(s.String(), want) {
			t.Errorf("WINNOW_KERNELS=%s: status %q", value, s)
		}
	}
}

// TestLibrary_refuses checks that a library of another version, or half of one, is
// not used.
func TestLibrary_refuses(t *testing.T) {
	needCompiler(t)
	for _, c := range []struct{ name, source, want string }{
		{"another version", "int winnow_kernels_abi(void) { return 77; }", "version 77"},
		{"nothing of ours", "int other(void) { return 1; }", "another library"},
		{"half of it", "int winnow_kernels_abi(void) { return 1; }", "winnow_kernels_architectures"},
	} {
		dir := t.TempDir()
		source, path := filepath.Join(dir, "x.c"), filepath.Join(dir, "x.so")
		if err := os.WriteFile(source, []byte(c.source), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", path, source).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if _, err := loadLibrary(path); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ErrNoLibrary with %q", c.name, err, c.want)
		}
	}
	l := loadEmulated(t, "selftest.cu")
	if _, err := launchers[faultLaunchers](l); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "make kernels") {
		t.Errorf("a launcher that is not there: got %v", err)
	}
}

// TestStatus names the library, its architectures and its devices.
func TestStatus(t *testing.T) {
	d := openEmulated(t)
	s := d.lib.status()
	if s.Err != nil || s.Path == "" || s.Architectures == "" || len(s.Devices) == 0 || s.ABI != abi {
		t.Errorf("status %+v", s)
	}
	if line := s.String(); strings.Contains(line, "\n") || !strings.Contains(line, "GPU 0: "+s.Devices[0].Name) {
		t.Errorf("status line %q", line)
	}
}
