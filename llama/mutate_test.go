package llama

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// mutation changes a file somewhere and says how.
type mutation func(r *rand.Rand, g *rawGGUF) string

// numbers are those at which arithmetic turns.
var numbers = []uint64{
	0, 1, 2, 3, 4, 7, 8, 15, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 511, 512, 513, 1 << 16, 1<<16 - 1, 1 << 20,
	1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1 << 40, 1<<53 + 1, 1 << 62, 1<<63 - 1, 1 << 63, math.MaxUint64 - 7, math.MaxUint64,
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// known are keys that llama.cpp reads of an architecture.
var known = strings.Fields(`
	context_length embedding_length block_count feed_forward_length vocab_size leading_dense_block_count
	expert_count expert_used_count expert_group_count expert_group_used_count expert_gating_func expert_shared_count
	expert_feed_forward_length expert_weights_scale expert_weights_norm interleave_moe_layer_step nextn_predict_layers
	attention.head_count attention.head_count_kv attention.key_length attention.value_length attention.causal
	attention.layer_norm_epsilon attention.layer_norm_rms_epsilon attention.group_norm_epsilon attention.clamp_kqv
	attention.max_alibi_bias attention.sliding_window attention.scale attention.key_length_mla attention.q_lora_rank
	attention.kv_lora_rank rope.dimension_count rope.dimension_sections rope.freq_base rope.scale_linear rope.scaling.type
	rope.scaling.factor rope.scaling.attn_factor rope.scaling.original_context_length rope.scaling.finetuned
	rope.scaling.yarn_log_multiplier rope.scaling.yarn_ext_factor pooling_type logit_scale residual_scale embedding_scale
	classifier.output_labels attn_logit_softcapping final_logit_softcapping use_parallel_residual decoder_start_token_id`)

// global are keys that llama.cpp reads of any model.
var global = strings.Fields(`
	general.alignment general.name general.file_type general.quantization_version general.type split.no split.count
	split.tensors.count tokenizer.ggml.model tokenizer.ggml.pre tokenizer.ggml.tokens tokenizer.ggml.token_type
	tokenizer.ggml.scores tokenizer.ggml.merges tokenizer.ggml.bos_token_id tokenizer.ggml.eos_token_id
	tokenizer.ggml.eot_token_id tokenizer.ggml.eom_token_id tokenizer.ggml.unknown_token_id tokenizer.ggml.padding_token_id
	tokenizer.ggml.mask_token_id tokenizer.ggml.fim_pre_token_id tokenizer.ggml.add_bos_token tokenizer.ggml.add_space_prefix
	tokenizer.ggml.remove_extra_whitespaces tokenizer.ggml.precompiled_charsmap tokenizer.ggml.token_type_count
	tokenizer.chat_template adapter.type`)

// archs are the architectures that llama.cpp knows.
var archs = strings.Fields(`
	clip llama llama4 deci falcon grok gpt2 gptj gptneox mpt baichuan starcoder refact bert nomic-bert nomic-bert-moe
	neo-bert jina-bert-v2 jina-bert-v3 bloom stablelm qwen qwen2 qwen2moe qwen2vl qwen3 qwen3moe qwen3next qwen3vl
	qwen3vlmoe phi2 phi3 phimoe plamo plamo2 codeshell orion internlm2 minicpm minicpm3 gemma gemma2 gemma3 gemma3n
	gemma-embedding starcoder2 mamba mamba2 jamba falcon-h1 xverse command-r cohere2 dbrx olmo olmo2 olmoe openelm arctic
	deepseek deepseek2 chatglm glm4 glm4moe bitnet t5 t5encoder jais nemotron nemotron_h nemotron_h_moe exaone exaone4
	rwkv6 rwkv6qwen2 rwkv7 arwkv7 granite granitemoe granitehybrid chameleon solar wavtokenizer-dec plm bailingmoe
	bailingmoe2 dots1 arcee afmoe ernie4_5 ernie4_5-moe hunyuan-moe hunyuan-dense smollm3 gpt-oss lfm2 lfm2moe dream
	smallthinker llada llada-moe seed_oss grovemoe apertus minimax-m2 cogvlm rnd1 pangu-embedded mistral3`)

// scalar returns a random value of a type.
func scalar(r *rand.Rand, t uint32) []byte {
	switch {
	case t == uint32(typString):
		return rawString(pick(r, []string{"", "llama", "gpt2", "none", "bert", "t5", "rwkv", "yarn", "longrope", "x", "\x00", "\xff\xfe", strings.Repeat("y", 300), "phi3"}))
	case t == uint32(typF32) && r.IntN(2) == 0:
		return rawF32(pick(r, []float32{0, -1, 1e-38, 1e38, 0.5, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}))
	case int(t) < len(typeBytes):
		return rawU64(pick(r, numbers))[:typeBytes[t]]
	}
	return rawU64(pick(r, numbers))
}

// array returns a random array, or what claims to be one.
func array(r *rand.Rand) []byte {
	t := typ(r.IntN(13))
	n := pick(r, []uint64{0, 1, 2, 2, 2, 3, 4, 8, 512, 600})
	said := n
	if r.IntN(4) == 0 {
		said = pick(r, numbers)
	}
	var items []byte
	for range n {
		items = append(items, scalar(r, uint32(t))...)
	}
	return rawArray(t, said, items)
}

// aKey picks a key of the file, oftener one with a number.
func aKey(r *rand.Rand, g *rawGGUF) *rawKey {
	if len(g.keys) == 0 {
		g.keys = append(g.keys, rawKey{name: "x", typ: 4, body: rawU32(1)})
	}
	k := &g.keys[r.IntN(len(g.keys))]
	for range 2 {
		if k.typ == uint32(typU32) {
			return k
		}
		k = &g.keys[r.IntN(len(g.keys))]
	}
	return k
}

// name picks a key's name that means something to llama.cpp.
func name(r *rand.Rand, arch string) string {
	if r.IntN(3) == 0 {
		return pick(r, global)
	}
	return arch + "." + pick(r, known)
}

// mutations are the ways to change a file before it is put together.
var mutations = []mutation{
	func(r *rand.Rand, g *rawGGUF) string { // a value of the right type
		k := aKey(r, g)
		if k.typ == uint32(typArray) {
			return changeArray(r, k)
		}
		k.body = scalar(r, k.typ)
		return fmt.Sprintf("%s is %x", k.name, k.body)
	},
	func(r *rand.Rand, g *rawGGUF) string { // a value of any type
		k := aKey(r, g)
		k.typ = uint32(r.IntN(14))
		k.body = scalar(r, k.typ)
		if k.typ == uint32(typArray) {
			k.body = array(r)
		}
		return fmt.Sprintf("%s has type %d and is %.40x", k.name, k.typ, k.body)
	},
	func(r *rand.Rand, g *rawGGUF) string { // the type alone
		k := aKey(r, g)
		k.typ = pick(r, []uint32{0, 1, 4, 5, 6, 7, 8, 9, 10, 12, 13, math.MaxUint32, uint32(r.Uint32())})
		return fmt.Sprintf("%s has type %d", k.name, k.typ)
	},
	func(r *rand.Rand, g *rawGGUF) string { // a key more
		k := rawKey{name: name(r, archOf(g)), typ: pick(r, []uint32{4, 4, 4, 5, 6, 7, 8, 9, 2, 10})}
		k.body = scalar(r, k.typ)
		if k.typ == uint32(typArray) {
			k.body = array(r)
		}
		if r.IntN(8) > 0 {
			g.remove(k.name)
		}
		g.keys = slices.Insert(g.keys, r.IntN(len(g.keys)+1), k)
		return fmt.Sprintf("new key %s of type %d: %.40x", k.name, k.typ, k.body)
	},
	func(r *rand.Rand, g *rawGGUF) string { // a key less, or twice, or elsewhere, or renamed
		if len(g.keys) == 0 {
			return "no keys"
		}
		i, j := r.IntN(len(g.keys)), r.IntN(len(g.keys))
		k := g.keys[i]
		switch r.IntN(5) {
		case 0:
			g.keys = slices.Delete(g.keys, i, i+1)
			return "without " + k.name
		case 1:
			g.keys = slices.Insert(g.keys, j, k)
			return "twice " + k.name
		case 2:
			g.keys[i], g.keys[j] = g.keys[j], g.keys[i]
			return "moved " + k.name
		case 3:
			g.keys[i].name = pick(r, []string{"", " ", k.name + "\x00", k.name + " ", "\xff", strings.Repeat("k", 1<<16), name(r, archOf(g))})
			return fmt.Sprintf("%s is renamed %.40q", k.name, g.keys[i].name)
		}
		g.keys[i].nameLen = new(pick(r, numbers))
		return fmt.Sprintf("the name %s has length %d", k.name, *g.keys[i].nameLen)
	},
	func(r *rand.Rand, g *rawGGUF) string { // a tensor's shape
		t := aTensor(r, g)
		switch r.IntN(5) {
		case 0:
			slices.Reverse(t.dims)
		case 1:
			t.dims = append(t.dims, pick(r, numbers))
		case 2:
			t.nDims = new(uint32(pick(r, numbers)))
		case 3:
			t.dims[r.IntN(len(t.dims))] = pick(r, numbers)
		default:
			t.dims[r.IntN(len(t.dims))] += uint64(r.IntN(3)) - 1
		}
		return fmt.Sprintf("%s has the shape %d", t.name, t.dims)
	},
	func(r *rand.Rand, g *rawGGUF) string { // a tensor's type
		t := aTensor(r, g)
		t.typ = pick(r, []uint32{uint32(r.IntN(41)), uint32(r.IntN(41)), uint32(pick(r, numbers))})
		if size, ok := ggmlType(t.typ).Trait(); ok && r.IntN(2) == 0 && size.BlockSize > 0 {
			t.dims[0] = (t.dims[0] + size.BlockSize - 1) / size.BlockSize * size.BlockSize
		}
		return fmt.Sprintf("%s has the type %d", t.name, t.typ)
	},
	func(r *rand.Rand, g *rawGGUF) string { // a tensor's place
		t := aTensor(r, g)
		t.offset = pick(r, []uint64{pick(r, numbers), t.offset + 1, t.offset + 32, t.offset - 32, aTensor(r, g).offset})
		return fmt.Sprintf("%s is at %d", t.name, t.offset)
	},
	func(r *rand.Rand, g *rawGGUF) string { // a tensor less, or twice, or elsewhere, or renamed
		i, j := r.IntN(len(g.tensors)), r.IntN(len(g.tensors))
		t := g.tensors[i]
		switch r.IntN(5) {
		case 0:
			if len(g.tensors) > 1 {
				g.tensors = slices.Delete(g.tensors, i, i+1)
			}
			return "without " + t.name
		case 1:
			t.dims = slices.Clone(t.dims)
			t.name = pick(r, []string{t.name, "blk.0.attn_q.bias", "blk.0.attn_k.bias", "rope_freqs.weight", "blk.0.ffn_gate_inp.weight", "blk.7.attn_q.weight"})
			g.tensors = slices.Insert(g.tensors, j, t)
			return "one more " + t.name
		case 2:
			g.tensors[i], g.tensors[j] = g.tensors[j], g.tensors[i]
			return "moved " + t.name
		case 3:
			g.tensors[i].name = pick(r, []string{"", t.name + "\x00", strings.Repeat("t", 63), strings.Repeat("t", 64), aTensor(r, g).name, "blk.0.attn_q.bias", "blk.-1.x", "blk.99999999999.attn_q.weight"})
			return fmt.Sprintf("%s is renamed %q", t.name, g.tensors[i].name)
		}
		g.tensors[i].nameLen = new(pick(r, numbers))
		return fmt.Sprintf("the name %s has length %d", t.name, *g.tensors[i].nameLen)
	},
	func(r *rand.Rand, g *rawGGUF) string { // the counts
		n := pick(r, []uint64{pick(r, numbers), uint64(len(g.tensors)) - 1, uint64(len(g.keys)) + 1})
		if r.IntN(2) == 0 {
			g.nKeys = &n
			return fmt.Sprintf("%d keys", n)
		}
		g.nTensor = &n
		return fmt.Sprintf("%d tensors", n)
	},
	func(r *rand.Rand, g *rawGGUF) string { // heads and their sizes, most of them sound together
		arch := archOf(g)
		var said []string
		for _, c := range []struct {
			name string
			from []uint32
		}{
			{"attention.head_count", []uint32{1, 2, 4, 8, 16, 32, 3, 0}},
			{"attention.head_count_kv", []uint32{1, 2, 4, 8, 16, 3, 0}},
			{"rope.dimension_count", []uint32{2, 4, 8, 16, 32, 1, 0}},
			{"attention.key_length", []uint32{2, 4, 8, 16, 32, 5, 0}},
			{"attention.value_length", []uint32{2, 4, 8, 16, 32, 5, 0}},
		} {
			switch r.IntN(3) {
			case 0:
				x := pick(r, c.from)
				g.set(arch+"."+c.name, uint32(typU32), rawU32(x))
				said = append(said, fmt.Sprint(c.name, "=", x))
			case 1:
				if c.name != "attention.head_count" {
					g.remove(arch + "." + c.name)
				}
			}
		}
		return strings.Join(said, " ")
	},
	func(r *rand.Rand, g *rawGGUF) string { // heads, with tensors that fit them
		arch := archOf(g)
		heads, kv, size, val := 1+r.IntN(8), 1+r.IntN(4), 1+r.IntN(16), 0
		if val = size; r.IntN(3) == 0 {
			val = 1 + r.IntN(16)
		}
		for name, x := range map[string]int{"attention.head_count": heads, "attention.head_count_kv": kv, "attention.key_length": size, "attention.value_length": val, "rope.dimension_count": size} {
			g.set(arch+"."+name, uint32(typU32), rawU32(uint32(x)))
		}
		for i := range g.tensors {
			t := &g.tensors[i]
			switch {
			case len(t.dims) != 2:
			case strings.HasSuffix(t.name, "attn_q.weight"):
				t.dims[1] = uint64(heads * size)
			case strings.HasSuffix(t.name, "attn_k.weight"):
				t.dims[1] = uint64(kv * size)
			case strings.HasSuffix(t.name, "attn_v.weight"):
				t.dims[1] = uint64(kv * val)
			case strings.HasSuffix(t.name, "attn_output.weight"):
				t.dims[0] = uint64(heads * size)
			}
		}
		g.lay()
		return fmt.Sprintf("%d heads, %d for keys of size %d and values of size %d", heads, kv, size, val)
	},
	func(r *rand.Rand, g *rawGGUF) string { // the architecture, with its keys
		return g.rename(pick(r, archs))
	},
	func(r *rand.Rand, g *rawGGUF) string { // the alignment
		x := pick(r, []uint32{0, 1, 8, 16, 31, 32, 33, 64, 4096, 1 << 16, 1 << 31, math.MaxUint32})
		g.set("general.alignment", uint32(typU32), rawU32(x))
		if x > 0 && x <= 1<<16 {
			g.align = int(x)
			g.lay()
		}
		return fmt.Sprint("alignment ", x)
	},
}

// archOf returns the file's architecture.
func archOf(g *rawGGUF) string {
	if i := g.find("general.architecture"); i >= 0 && len(g.keys[i].body) >= 8 {
		return string(g.keys[i].body[8:])
	}
	return "llama"
}

// aTensor picks a tensor of the file.
func aTensor(r *rand.Rand, g *rawGGUF) *rawTensor {
	t := &g.tensors[r.IntN(len(g.tensors))]
	if len(t.dims) == 0 {
		t.dims = []uint64{1}
	}
	return t
}

// changeArray changes the array that a key has: its items' type, their number,
// or bytes of them.
func changeArray(r *rand.Rand, k *rawKey) string {
	body := slices.Clone(k.body)
	switch r.IntN(3) {
	case 0:
		copy(body, rawU32(uint32(r.IntN(14))))
	case 1:
		n := pick(r, []uint64{pick(r, numbers), number(body[4:12]) - 1, number(body[4:12]) + 1})
		copy(body[4:], rawU64(n))
	default:
		for range 1 + r.IntN(8) {
			body[r.IntN(len(body))] = byte(r.Uint32())
		}
	}
	k.body = body
	return fmt.Sprintf("the array %s is changed", k.name)
}

// mutate returns the n-th damaged file of a seed and what was done to it. It
// depends on nothing else.
func mutate(seed, n uint64, sound []*rawGGUF) ([]byte, string) {
	r := rand.New(rand.NewPCG(seed, n))
	g := pick(r, sound).clone()
	var done []string
	for range []int{0, 1, 1, 1, 1, 2, 2, 3}[r.IntN(8)] {
		done = append(done, pick(r, mutations)(r, g))
	}
	if r.IntN(2) == 0 {
		g.lay()
		done = append(done, "tensors laid anew")
	}
	b, head := g.bytes()
	b = slices.Clone(b)
	if len(done) == 1 || r.IntN(4) == 0 || len(done) == 0 { // bytes, whatever they mean
		head = min(head, len(b))
		switch r.IntN(6) {
		case 0, 1:
			for range 1 + r.IntN(4) {
				b[r.IntN(head)] ^= 1 << r.IntN(8)
			}
			done = append(done, "bits flipped")
		case 2:
			at := r.IntN(head)
			copy(b[at:], rawU64(pick(r, numbers))[:pick(r, []int{1, 2, 4, 8})])
			done = append(done, fmt.Sprint("a number at ", at))
		case 3:
			at := r.IntN(len(b) + 1)
			if r.IntN(2) == 0 {
				at = r.IntN(head)
			}
			b = b[:at]
			done = append(done, fmt.Sprint("cut at ", at))
		case 4:
			at := r.IntN(head)
			b = slices.Insert(b, at, b[at:at+r.IntN(min(64, head-at))]...)
			done = append(done, fmt.Sprint("bytes repeated at ", at))
		case 5:
			at := r.IntN(head)
			b = slices.Delete(b, at, at+r.IntN(min(64, head-at)))
			done = append(done, fmt.Sprint("bytes missing at ", at))
		}
	}
	return b, strings.Join(done, "; ")
}
