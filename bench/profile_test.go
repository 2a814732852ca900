package bench

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"winnow/grader/engine"
	"winnow/internal/tinygguf"
)

// useCache makes an empty folder the user's cache.
func useCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir) // where the system does not know the next one
	t.Setenv("XDG_CACHE_HOME", dir)
	return dir
}

func someProfile() *Profile {
	return &Profile{
		Version: "v1", Machine: "a machine", Device: "CPU", Engine: "an engine", Model: "tiny.gguf",
		Batch: 412, Contexts: 2, Threads: 3, FlashAttention: true, RecordRate: 12.5, DefaultRate: 10,
	}
}

func TestProfile(t *testing.T) {
	dir := useCache(t)
	model := writeTiny(t, tinygguf.Options{})
	p, path, err := LoadProfile(model, 0)
	if p != nil || err != nil || !strings.HasPrefix(path, dir) {
		t.Errorf("without a profile: %+v, %q, %v; want none, and where it would be", p, path, err)
	}
	want := someProfile()
	for range 2 { // the second is written over the first
		saved, err := want.Save(model, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, loaded, err := LoadProfile(model, 0)
		if err != nil {
			t.Fatal(err)
		}
		if *got != *want || saved != path || loaded != path {
			t.Errorf("saved %+v in %s, loaded %+v from %s, want both in %s", want, saved, got, loaded, path)
		}
		want.Batch++
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("beside the profile: %v, %v", left, err)
	}
}

func TestProfileShapes(t *testing.T) {
	useCache(t)
	if _, err := someProfile().Save(writeTiny(t, tinygguf.Options{}), 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		o      tinygguf.Options
		shared bool
	}{
		{"other weights", tinygguf.Options{Seed: 9}, true},
		{"another name", tinygguf.Options{Name: "a model with a longer name"}, true},
		{"another template", tinygguf.Options{Template: tinygguf.NoTemplate}, true},
		{"more layers", tinygguf.Options{Layers: 3}, false},
		{"wider", tinygguf.Options{FF: 256}, false},
		{"as wide, with fewer heads", tinygguf.Options{Heads: 2}, false},
		{"another format", tinygguf.Options{F16: true}, false},
		{"another vocabulary", tinygguf.Options{Tokenizer: tinygguf.SPM}, false},
	} {
		p, path, err := LoadProfile(writeTiny(t, c.o), 0)
		if err != nil || (p != nil) != c.shared {
			t.Errorf("%s: profile %+v in %s, %v; shared should be %v", c.name, p, path, err, c.shared)
		}
	}
}

func TestProfileDamaged(t *testing.T) {
	useCache(t)
	model := writeTiny(t, tinygguf.Options{})
	path, err := someProfile().Save(model, 0)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":            "",
		"cut":              string(whole[:len(whole)/2]),
		"no object":        "[]",
		"a word":           strings.Replace(string(whole), "412", `"many"`, 1),
		"a fraction":       strings.Replace(string(whole), "412", "412.5", 1),
		"a small batch":    strings.Replace(string(whole), "412", "15", 1),
		"no contexts":      strings.Replace(string(whole), `"contexts": 2`, `"contexts": 0`, 1),
		"negative threads": strings.Replace(string(whole), `"threads": 3`, `"threads": -3`, 1),
		"nothing in it":    "{}",
	} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		p, _, err := LoadProfile(model, 0)
		if p != nil || err == nil {
			t.Errorf("%s: %+v and no error", name, p)
			continue
		}
		for _, want := range []string{path, "remove it, or run winnow bench --tune again"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error is %q, want %q in it", name, err, want)
			}
		}
	}
	if _, err := someProfile().Save(model, 0); err != nil {
		t.Errorf("save over a damaged profile: %v", err)
	}
	if p, _, err := LoadProfile(model, 0); p == nil || err != nil {
		t.Errorf("saved again: %+v, %v", p, err)
	}
}

func TestProfileErrors(t *testing.T) {
	dir := useCache(t)
	absent := filepath.Join(dir, "absent.gguf")
	text := filepath.Join(dir, "text.gguf")
	if err := os.WriteFile(text, []byte("no model\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{absent, text, dir} {
		_, _, loadErr := LoadProfile(model, 0)
		_, saveErr := someProfile().Save(model, 0)
		for _, err := range []error{loadErr, saveErr} {
			if err == nil || !strings.Contains(err.Error(), model) || errors.Is(err, fs.ErrNotExist) != (model == absent) {
				t.Errorf("model %s: %v", model, err)
			}
		}
	}

	model := writeTiny(t, tinygguf.Options{})
	if err := os.WriteFile(filepath.Join(dir, "winnow"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := someProfile().Save(model, 0); err == nil {
		t.Error("a file stands where the folder should be: no error")
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	if p, path, err := LoadProfile(model, 0); p != nil || path != "" || err != nil {
		t.Errorf("no folder for caches: loaded %+v from %q, %v; want none", p, path, err)
	}
	if _, err := someProfile().Save(model, 0); err == nil {
		t.Error("no folder for caches: saved without an error")
	}
}

func TestProfileApply(t *testing.T) {
	type settings struct{ batch, lanes, threads int }
	for _, c := range []struct{ given, want settings }{
		{settings{}, settings{412, 2, 3}},
		{settings{batch: 64}, settings{64, 2, 3}},
		{settings{lanes: 1}, settings{412, 1, 0}},
		{settings{threads: 8}, settings{412, 0, 8}},
		{settings{lanes: 4, threads: 8}, settings{412, 4, 8}},
		{settings{64, 4, 8}, settings{64, 4, 8}},
	} {
		o := engine.Options{Model: "m", Ctx: 7, GPULayers: -1, Batch: c.given.batch, Lanes: c.given.lanes, Threads: c.given.threads}
		someProfile().Apply(&o)
		if got := (settings{o.Batch, o.Lanes, o.Threads}); got != c.want {
			t.Errorf("%+v became %+v, want %+v", c.given, got, c.want)
		}
		if o.Model != "m" || o.Ctx != 7 || o.GPULayers != -1 {
			t.Errorf("%+v: Apply changed the rest: %+v", c.given, o)
		}
	}
}

// With whole steps of cells, the batch is left to the engine, which knows its
// rubric's prefix.
func TestProfileApplyCells(t *testing.T) {
	p := someProfile()
	p.Cells = 256
	var o engine.Options
	p.Apply(&o)
	if o.Batch != 0 || o.Cells != 256 {
		t.Errorf("batch %d, cells %d; want 0 and 256", o.Batch, o.Cells)
	}
	o = engine.Options{Batch: 64}
	p.Apply(&o)
	if o.Batch != 64 || o.Cells != 0 {
		t.Errorf("batch %d, cells %d; want what was asked for", o.Batch, o.Cells)
	}
}

// With and without a GPU a model has two profiles.
func TestProfileOfCPU(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	model := writeTiny(t, tinygguf.Options{})
	if _, err := someProfile().Save(model, -1); err != nil {
		t.Fatal(err)
	}
	if p, _, err := LoadProfile(model, 0); p != nil || err != nil {
		t.Errorf("the profile with layers on a GPU is used without: %+v, %v", p, err)
	}
	if p, _, err := LoadProfile(model, 20); p == nil || err != nil {
		t.Errorf("%+v, %v; want the profile with layers on a GPU", p, err)
	}
}

// A model has a profile for each kind of GPU, however many of a kind there are, and
// whichever comes first.
func TestProfileOfGPUs(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	model := writeTiny(t, tinygguf.Options{})
	if _, err := someProfile().Save(model, -1, "Card A", "Card B", "Card A"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		layers int
		gpus   []string
		want   bool
	}{
		{-1, []string{"Card A", "Card B"}, true},
		{20, []string{"Card B", "Card B", "Card A"}, true},
		{-1, []string{"Card A"}, false},
		{-1, []string{"Card C", "Card B"}, false},
		{-1, nil, false},
		{0, []string{"Card A", "Card B"}, false},
	} {
		if p, _, err := LoadProfile(model, c.layers, c.gpus...); err != nil || (p != nil) != c.want {
			t.Errorf("%d layers on %q: profile %+v, %v, want one: %t", c.layers, c.gpus, p, err, c.want)
		}
	}
}
