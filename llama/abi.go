package llama

// #include "shim.h"
import "C"

// defaults are fields from all over the parameter structs, as upstream sets
// them. A field that moved in another version shows as an implausible value,
// even where the size of the struct did not change.
type defaults struct {
	gpuLayers, splitMode, mainGPU    int
	mmap, mlock, vocabOnly, noAlloc  bool
	ctx, batch, ubatch, seqs         int
	threads, threadsBatch, poolType  int
	flashAttention                   int
	yarnBetaFast, yarnBetaSlow       float32
	typeK, typeV                     int
	embeddings, offloadKQV, noPerf   bool
	swaFull, kvUnified               bool
	quantThreads, quantType          int
	requantize, quantOutput, onlyCpy bool
}

func upstreamDefaults() defaults {
	m := C.llama_model_default_params()
	c := C.llama_context_default_params()
	q := C.llama_model_quantize_default_params()
	return defaults{
		gpuLayers: int(m.n_gpu_layers), splitMode: int(m.split_mode), mainGPU: int(m.main_gpu),
		mmap: bool(m.use_mmap), mlock: bool(m.use_mlock), vocabOnly: bool(m.vocab_only), noAlloc: bool(m.no_alloc),
		ctx: int(c.n_ctx), batch: int(c.n_batch), ubatch: int(c.n_ubatch), seqs: int(c.n_seq_max),
		threads: int(c.n_threads), threadsBatch: int(c.n_threads_batch), poolType: int(c.pooling_type),
		flashAttention: int(c.flash_attn_type),
		yarnBetaFast:   float32(c.yarn_beta_fast), yarnBetaSlow: float32(c.yarn_beta_slow),
		typeK: int(c.type_k), typeV: int(c.type_v),
		embeddings: bool(c.embeddings), offloadKQV: bool(c.offload_kqv), noPerf: bool(c.no_perf),
		swaFull: bool(c.swa_full), kvUnified: bool(c.kv_unified),
		quantThreads: int(q.nthread), quantType: int(q.ftype),
		requantize: bool(q.allow_requantize), quantOutput: bool(q.quantize_output_tensor), onlyCpy: bool(q.only_copy),
	}
}
