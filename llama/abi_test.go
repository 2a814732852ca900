package llama

import (
	"strings"
	"testing"

	"winnow/internal/tinygguf"
)

// TestABI sends values through every struct that is shared with C and expects
// them back: a changed layout in another version of the engine shows here.
func TestABI(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{Layers: 3, Embd: 96, Heads: 6, HeadsKV: 3, FF: 160, Ctx: 777, F16: true, Name: "abi"})
	got, err := m.Info()
	if err != nil {
		t.Fatal(err)
	}
	if got.Params == 0 || got.SizeBytes < 2*got.Params || got.SizeBytes > 4*got.Params {
		t.Errorf("%d weights in %d bytes, want 2 to 4 bytes each", got.Params, got.SizeBytes)
	}
	want := Info{
		Description: got.Description, Format: "F16", Params: got.Params, SizeBytes: got.SizeBytes,
		Arch: "llama", Name: "abi", Layers: 3, Embd: 96, Heads: 6, HeadsKV: 3, CtxTrain: 777, Decoder: true,
	}
	if got != want || !strings.HasPrefix(got.Description, "llama ") {
		t.Errorf("Info() = %+v, want %+v", got, want)
	}

	// Context parameters: the cells asked for, and a batch as large as they allow.
	c := openContext(t, m, ContextOptions{Ctx: 512, Batch: 300, Threads: 1})
	if c.Cells() != 512 {
		t.Errorf("%d cells, want 512", c.Cells())
	}
	b := makeBatch(t, 300, MaxSeqs)
	all := make([]SeqID, MaxSeqs)
	for i := range all {
		all[i] = SeqID(i)
	}
	for i := range 300 {
		seqs := all[MaxSeqs-1:]
		if i == 0 {
			seqs = all
		}
		if err := b.Add(Token(i), i, seqs, i%100 == 99); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Decode(b); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if row, err := c.Logits(i); (err == nil) != (i%100 == 99) || err == nil && len(row) != m.Vocab().Size() {
			t.Errorf("row of token %d: %d values, %v", i, len(row), err)
		}
	}
	for seq, want := range map[SeqID]int{0: 0, 254: 0, 255: 299} {
		if got, err := c.LastPos(seq); got != want || err != nil {
			t.Errorf("sequence %d ends at %d, %v, want %d", seq, got, err, want)
		}
	}
}

func TestFeatures(t *testing.T) {
	features := Features()
	if len(features) == 0 {
		t.Fatal("the engine names no features")
	}
	for key, value := range features {
		if backend, name, ok := strings.Cut(key, "."); !ok || backend == "" || name == "" || value == "" {
			t.Errorf("feature %q = %q, want backend.name and a value", key, value)
		}
	}
}

func TestDevices(t *testing.T) {
	for _, d := range Devices() {
		if d.Name == "CPU" && !d.GPU && d.MemoryTotal > 1<<20 && d.MemoryFree <= d.MemoryTotal {
			return
		}
	}
	t.Errorf("no CPU with memory among %+v", Devices())
}

func TestVersion(t *testing.T) {
	// The module's own version is known to programs, not to test binaries.
	if v, want := Version(), "llama.cpp "+upstream+" from "+module+" "; !strings.HasPrefix(v, want) || len(v) == len(want) {
		t.Errorf("Version() = %q, want %q and a version", v, want)
	}
}
