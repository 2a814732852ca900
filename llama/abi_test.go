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

func TestUpstreamDefaults_plausible(t *testing.T) {
	d := upstreamDefaults()
	between := func(name string, x, low, high int) {
		t.Helper()
		if x < low || x > high {
			t.Errorf("%s is %d, want %d to %d: has the struct changed?", name, x, low, high)
		}
	}
	between("n_gpu_layers", d.gpuLayers, -1, 1000)
	between("split_mode", d.splitMode, 0, 2)
	between("main_gpu", d.mainGPU, 0, 0)
	between("n_ctx", d.ctx, 0, 1<<20)
	between("n_batch", d.batch, 256, 1<<14)
	between("n_ubatch", d.ubatch, 64, d.batch)
	between("n_seq_max", d.seqs, 1, MaxSeqs)
	between("n_threads", d.threads, 1, 1024)
	between("n_threads_batch", d.threadsBatch, 1, 1024)
	between("pooling_type", d.poolType, -1, 4)
	between("flash_attn_type", d.flashAttention, -1, 1)
	between("type_k", d.typeK, 1, 1) // F16, on which the cache's size is planned
	between("type_v", d.typeV, 1, 1)
	between("nthread", d.quantThreads, 0, 1024)
	between("ftype", d.quantType, 0, 64)
	// YaRN's betas are 32 and 1, or negative for "from the model".
	if !(d.yarnBetaFast <= 64 && d.yarnBetaSlow <= 8 && d.yarnBetaFast >= -1 && d.yarnBetaSlow >= -1) {
		t.Errorf("yarn betas %v and %v", d.yarnBetaFast, d.yarnBetaSlow)
	}
	for name, ok := range map[string]bool{
		"use_mmap": d.mmap, "no mlock": !d.mlock, "no vocab_only": !d.vocabOnly, "no no_alloc": !d.noAlloc,
		"no embeddings": !d.embeddings, "offload_kqv": d.offloadKQV, "swa_full": d.swaFull, "no kv_unified": !d.kvUnified,
		"no allow_requantize": !d.requantize, "quantize_output_tensor": d.quantOutput, "no only_copy": !d.onlyCpy,
	} {
		if !ok {
			t.Errorf("%s is not the default: has the struct changed?", name)
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
