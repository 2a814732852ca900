package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"winnow/internal/tinygguf"
	"winnow/llama"
)

func TestOpenErrors(t *testing.T) {
	tiny := writeTiny(t, tinygguf.Options{})
	rub := load(t, "")
	long := brief(t, "", "0", "1")
	long.System = strings.Repeat("Be fair. ", 200)
	same := brief(t, "", "0", "1")
	same.Scale.Strings[1] = "0"
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"missing model", Options{Model: filepath.Join(t.TempDir(), "none.gguf"), Rubrics: only(rub)}, "no such file"},
		{"folder", Options{Model: t.TempDir(), Rubrics: only(rub)}, "is not a file"},
		{"architecture", Options{Model: writeTiny(t, tinygguf.Options{Arch: "nosuch"}), Rubrics: only(rub)}, "unknown model architecture: 'nosuch'"},
		{"small context", Options{Model: tiny, Rubrics: only(rub), Ctx: 64}, "raise -c"},
		{"long rubric", Options{Model: tiny, Rubrics: only(long), Ctx: 512}, "raise -c"},
		{"small training context", Options{Model: writeTiny(t, tinygguf.Options{Ctx: 64}), Rubrics: only(rub)}, "raise -c"},
		{"scale", Options{Model: tiny, Rubrics: only(same)}, "twice"},
		{"negative context", Options{Model: tiny, Rubrics: only(rub), Ctx: -1}, "context of -1 tokens"},
		{"small batch", Options{Model: tiny, Rubrics: only(rub), Batch: MinBatch - 1}, "batches of 15"},
		{"negative batch", Options{Model: tiny, Rubrics: only(rub), Batch: -1}, "batches of -1"},
		{"threads", Options{Model: tiny, Rubrics: only(rub), Threads: -1}, "-1 threads"},
		{"too long", Options{Model: tiny, Rubrics: only(rub), TooLong: "drop"}, `"drop": want`},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := Open(c.o)
			if err == nil {
				t.Errorf("no error, want one with %q", c.want)
				if err := e.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if !strings.Contains(err.Error(), c.want) || e != nil {
				t.Errorf("error %v, want one with %q and no engine", err, c.want)
			}
		})
	}
	if _, err := Open(Options{Model: "none.gguf", Rubrics: only(rub)}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing model: %v, want %v", err, fs.ErrNotExist)
	}
}

func TestManifest(t *testing.T) {
	path := writeTiny(t, tinygguf.Options{F16: true, Ctx: 1000})
	rub := load(t, "")
	e := open(t, tinygguf.BPE, Options{Model: path, TooLong: Truncate, NoFlashAttention: true})
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	m := e.Manifest()
	for what, pair := range map[string][2]string{
		"model":    {m.Model.SHA256, hex.EncodeToString(sum[:])},
		"file":     {m.Model.Name, "tiny.gguf"},
		"rubric":   {m.Rubrics[0].SHA256, rub.SHA256()},
		"name":     {m.Rubrics[0].Name, rub.Name},
		"template": {m.Template.Source, "gguf"},
		"engine":   {m.Runtime.Engine, llama.Version()},
		"device":   {m.Runtime.Device, "CPU"},
		"context":  {m.Settings["ctx_size"], "1000"}, // what the model was trained with
		"too long": {m.Settings["too_long"], "truncate"},
		"flash":    {m.Settings["flash_attention"], "false"},
		"scale":    {strings.Join(m.Scale.Strings, " "), strings.Join(rub.Scale.Strings, " ")},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
		}
	}
	if len(m.Template.SHA256) != 64 {
		t.Errorf("the template's hash is %q", m.Template.SHA256)
	}
	if o := e.Options(); o.Ctx != 1000 || o.Batch != DefaultBatch || o.Threads < 1 {
		t.Errorf("options in force: %+v", o)
	}
	if i := e.Info(); i.Arch != "llama" || i.CtxTrain != 1000 {
		t.Errorf("Info() = %+v", i)
	}
	if !strings.Contains(e.Note(), `template "gguf"`) {
		t.Errorf("Note() = %q", e.Note())
	}
	if c := e.Capacity(); c.Tokens != DefaultBatch || c.Prompts != llama.MaxSeqs/5 {
		t.Errorf("Capacity() = %+v, want %d tokens and one prompt for every 5 sequences", c, DefaultBatch)
	}
	if e.RatingTokens() != len(e.tail.shared)+10 { // 0 to 4, and a dot behind each
		t.Errorf("RatingTokens() = %d", e.RatingTokens())
	}
}

// TestNoTemplate grades with a model that is no chat model.
func TestNoTemplate(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		e := open(t, kind, Options{Model: writeTiny(t, tinygguf.Options{Tokenizer: kind, Template: tinygguf.NoTemplate})})
		if got := e.Manifest().Template.Source; got != "plain" {
			t.Errorf("template %q, want plain", got)
		}
		if r := rate(t, e, encode(t, e, records(1)...)...)[0]; r.Mode == "" {
			t.Error("no rating")
		}
	})
}

// TestBOS checks that every prompt begins with the one BOS that the model wants.
func TestBOS(t *testing.T) {
	for _, template := range []string{tinygguf.ChatML, "{{ bos_token }}" + tinygguf.ChatML} {
		e := open(t, tinygguf.SPM, Options{Model: writeTiny(t, tinygguf.Options{Tokenizer: tinygguf.SPM, Template: template})})
		if bos := e.Model().Vocab().BOS(); e.prefix[0] != bos || e.prefix[1] == bos {
			t.Errorf("the prompt begins with %d, want %d once", e.prefix[:2], bos)
		}
	}
	e := open(t, tinygguf.BPE, Options{})
	if bos := e.Model().Vocab().BOS(); e.prefix[0] == bos {
		t.Error("the prompt begins with a BOS that the model does not want")
	}
}

func TestSelfTest(t *testing.T) {
	d, err := SelfTest(context.Background())
	if err != nil || !(d >= 0 && d <= 1e-4) {
		t.Errorf("SelfTest() = %g, %v", d, err)
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := SelfTest(done); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestCheckCPU holds for any build that can run the tests: it needs nothing that
// the machine lacks.
func TestCheckCPU(t *testing.T) {
	list := Features()
	if len(list) == 0 {
		t.Fatal("no instruction set is known")
	}
	warning, err := CheckCPU()
	if err != nil {
		t.Error(err)
	}
	for _, f := range list {
		if f.Name == "" || !f.Machine && !f.Build {
			t.Errorf("%+v is listed although neither side has it", f)
		}
		if f.Build && !f.Machine {
			t.Errorf("the build uses %s, which the machine lacks, and yet runs", f.Name)
		}
		if unused := f.Machine && !f.Build; unused != containsWord(warning, f.Name) {
			t.Errorf("%+v, but the warning is %q", f, warning)
		}
	}
}

func containsWord(text, word string) bool {
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		if w == word {
			return true
		}
	}
	return false
}

// TestCells fills whole steps of cells with the prefix and a batch.
func TestCells(t *testing.T) {
	for _, c := range []struct{ cells, prefix, want int }{
		{256, 36, 220}, {512, 36, 476}, {256, 128, 128}, {256, 129, 383}, {256, 300, 212},
	} {
		if got := batchWithin(c.cells, c.prefix); got != c.want {
			t.Errorf("%d cells, %d of them the prefix: batches of %d, want %d", c.cells, c.prefix, got, c.want)
		}
	}
	e := open(t, tinygguf.BPE, Options{Cells: 512})
	if o := e.Options(); o.Batch != 512-e.PrefixTokens() || e.Capacity().Tokens != o.Batch {
		t.Errorf("batches of %d behind %d tokens, want 512 cells full", o.Batch, e.PrefixTokens())
	}
	if o := open(t, tinygguf.BPE, Options{Cells: 512, Batch: 64}).Options(); o.Batch != 64 {
		t.Errorf("batches of %d, want the 64 that were asked for", o.Batch)
	}
}
