package llama

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Bounds of what a model's keys say. Real models stay far below.
const (
	maxLayers = 512 // llama.cpp has arrays of this length
	maxWidth  = 1 << 20
	maxHead   = 1 << 13
	maxTokens = 1 << 30 // of context
)

// unusable are architectures that llama.cpp knows and grading cannot use: they
// have no cache of tokens that can be cut, do not predict a next token, or are no
// language models. Their keys are not checked, so C never sees them.
var unusable = strings.Fields(`
	mamba mamba2 rwkv6 rwkv6qwen2 rwkv7 arwkv7
	jamba falcon-h1 plamo2 granitehybrid lfm2 lfm2moe nemotron_h nemotron_h_moe qwen3next
	dream llada llada-moe rnd1
	bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 gemma-embedding
	t5 t5encoder wavtokenizer-dec clip`)

// wholeRope are the architectures for which llama.cpp asserts that positions
// turn all of a head.
var wholeRope = strings.Fields(`
	llama llama4 deci mistral3 granite granitemoe minicpm apertus arcee arctic baichuan chameleon codeshell cogvlm
	dbrx deepseek dots1 ernie4_5 ernie4_5-moe exaone exaone4 falcon grok grovemoe hunyuan-dense hunyuan-moe internlm2
	olmo olmo2 olmoe orion pangu-embedded plamo qwen2 qwen2moe qwen2vl qwen3 qwen3moe qwen3vl qwen3vlmoe seed_oss
	smallthinker smollm3 solar starcoder2 xverse`)

// twoSizes are the architectures whose keys and values may differ in size.
var twoSizes = []string{"deepseek2", "minicpm3", "plm"}

// windowed are the architectures whose layers see all tokens or those in a window,
// and how many layers there must be for both kinds to be there: llama.cpp has a
// cache for each kind, and asserts that it is used.
var windowed = map[string]uint32{
	"llama4": 4, "afmoe": 4, "gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4, "olmo2": 4, "exaone4": 4, "gpt-oss": 2, "smallthinker": 2,
}

// withExperts are the architectures that llama.cpp asserts to have experts.
var withExperts = []string{"smallthinker", "grovemoe", "glm4moe", "bailingmoe2"}

// variable are the architectures whose layers may differ in their heads.
var variable = []string{"deci", "openelm"}

// checkModel checks the keys of a model's architecture, and of its tensors what
// llama.cpp computes before it compares them with the keys, or does not compare.
func (h *header) checkModel(tensors []tensor) error {
	arch := h.archName()
	if slices.Contains(unusable, arch) {
		return fmt.Errorf("its architecture is %s, which is no causal transformer: grading needs one", arch)
	}
	if err := h.checkNumbers(arch + "."); err != nil {
		return err
	}
	p := keysOf{h, arch, arch + "."}
	for _, b := range []struct {
		name      string
		min, most uint32
	}{
		{"block_count", 1, maxLayers},
		{"context_length", 1, maxTokens},
		{"embedding_length", 1, maxWidth},
		{"attention.sliding_window", 0, maxTokens},
		{"expert_gating_func", 1, 3},
	} {
		if x, ok := p.u32(b.name); ok && (x < b.min || x > b.most) {
			return fmt.Errorf("%s%s is %d, want %d to %d", p.prefix, b.name, x, b.min, b.most)
		}
	}
	layers, ok := p.u32("block_count")
	if !ok {
		return nil // llama.cpp says so itself before it reads on
	}
	for _, rule := range []func(layers uint32) error{p.experts, p.arrays, p.special} {
		if err := rule(layers); err != nil {
			return err
		}
	}
	a, err := p.attention(layers)
	if err != nil {
		return err
	}
	byName := make(map[string]tensor, len(tensors))
	for _, t := range tensors {
		byName[t.name] = t
	}
	if err := a.shapes(byName); err != nil {
		return err
	}
	return p.needs(byName, layers)
}

// checkNumbers checks that a model's fractions are finite.
func (h *header) checkNumbers(prefix string) error {
	for key, v := range h.keys {
		if v.array || v.typ != typF32 || !strings.HasPrefix(key, prefix) {
			continue
		}
		x := math.Float32frombits(uint32(v.bits))
		if strings.HasSuffix(key, "epsilon") && !(x >= 0) { // ggml asserts it
			return fmt.Errorf("%s is %v, want 0 or more", key, x)
		}
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return fmt.Errorf("%s is %v, want a number", key, x)
		}
	}
	return nil
}

// keysOf are the keys of a model's architecture.
type keysOf struct {
	h            *header
	arch, prefix string
}

func (p keysOf) u32(name string) (uint32, bool) { return p.h.u32(p.prefix + name) }

// experts checks the numbers of experts as llama.cpp asserts them.
func (p keysOf) experts(uint32) error {
	const most = 512
	all, _ := p.u32("expert_count")
	used, _ := p.u32("expert_used_count")
	groups, _ := p.u32("expert_group_count")
	groupsUsed, _ := p.u32("expert_group_used_count")
	switch {
	case all == 0 && slices.Contains(withExperts, p.arch):
		return fmt.Errorf("%sexpert_count is missing or 0, want the number of experts", p.prefix)
	case all > most:
		return fmt.Errorf("%sexpert_count is %d, want at most %d", p.prefix, all, most)
	case used > all || all > 0 && used == 0:
		return fmt.Errorf("%sexpert_used_count is %d of %d experts", p.prefix, used, all)
	case groups > 0 && groups >= all || groups > 1 && all%groups != 0:
		return fmt.Errorf("%sexpert_group_count is %d for %d experts", p.prefix, groups, all)
	case groups > 1 && (groupsUsed == 0 || groupsUsed >= groups):
		return fmt.Errorf("%sexpert_group_used_count is %d of %d groups", p.prefix, groupsUsed, groups)
	}
	return nil
}

// arrays checks the types of arrays, which llama.cpp asserts.
func (p keysOf) arrays(layers uint32) error {
	if _, err := p.perLayer("feed_forward_length", layers); err != nil {
		return err
	}
	if v := p.h.keys[p.prefix+"classifier.output_labels"]; v.array && v.typ != typString {
		return fmt.Errorf("%sclassifier.output_labels holds items of type %v, want %v", p.prefix, v.typ, typString)
	}
	for i := range 4 {
		if _, err := p.perLayer(fmt.Sprintf("attention.block_skip_connection.%d", i), layers); err != nil {
			return err
		}
	}
	for _, name := range []string{"alpha_n", "alpha_p", "beta", "eps"} {
		if v := p.h.keys["xielu."+name]; v.array && v.typ != typF32 {
			return fmt.Errorf("xielu.%s holds items of type %v, want %v", name, v.typ, typF32)
		}
	}
	const sections = "rope.dimension_sections"
	if v, ok := p.h.keys[p.prefix+sections]; ok {
		list := v.few
		if !v.array {
			list = []uint64{v.bits}
		}
		sum := uint64(0)
		for _, x := range list {
			sum += min(x, maxHead+1)
		}
		if v.array && v.typ != typI32 && v.typ != typU32 || len(list) > 4 || sum == 0 || sum > maxHead {
			return fmt.Errorf("%s%s are no parts of a head", p.prefix, sections)
		}
	}
	return nil
}

// special checks what llama.cpp asserts of one architecture or few.
func (p keysOf) special(layers uint32) error {
	if s, ok := p.h.text(p.prefix + "rope.scaling.type"); ok && !slices.Contains([]string{"none", "linear", "yarn", "longrope"}, s) {
		return fmt.Errorf("%srope.scaling.type is %q, want none, linear, yarn or longrope", p.prefix, s)
	}
	if n, ok := p.u32("nextn_predict_layers"); ok && n >= layers {
		return fmt.Errorf("%snextn_predict_layers is %d of %d layers", p.prefix, n, layers)
	}
	if least := windowed[p.arch]; layers < least {
		return fmt.Errorf("%sblock_count is %d, want %d or more: up to there all layers are of one kind", p.prefix, layers, least)
	}
	switch p.arch {
	case "baichuan":
		if layers != 32 && layers != 40 {
			return fmt.Errorf("%sblock_count is %d, want 32 or 40: others of that architecture are not known", p.prefix, layers)
		}
	case "ernie4_5-moe":
		if n, ok := p.u32("interleave_moe_layer_step"); ok && n == 0 {
			return fmt.Errorf("%sinterleave_moe_layer_step is 0, want 1 or more", p.prefix)
		}
	case "grovemoe":
		if n, ok := p.u32("experts_per_group"); ok && n == 0 {
			return fmt.Errorf("%sexperts_per_group is 0, want 1 or more", p.prefix)
		}
	}
	return nil
}

// needs checks that tensors are there which llama.cpp uses without asking for them.
func (p keysOf) needs(byName map[string]tensor, layers uint32) error {
	all, _ := p.u32("expert_count")
	for name := range byName {
		if all == 0 && strings.Contains(name, "exps.") {
			return fmt.Errorf("tensor %s is of experts, but %sexpert_count is 0", name, p.prefix)
		}
	}
	var names []string
	switch p.arch {
	case "solar":
		names = []string{"output.weight", "bskcn_tv.weight"}
	case "phi2":
		for i := range layers {
			for _, part := range []string{"attn_qkv", "attn_q", "attn_k", "attn_v"} {
				stem := fmt.Sprintf("blk.%d.%s.", i, part)
				if _, ok := byName[stem+"weight"]; ok {
					names = append(names, stem+"bias")
				}
			}
		}
	}
	for _, name := range names {
		if _, ok := byName[name]; !ok {
			return fmt.Errorf("tensor %s is missing, which the architecture %s needs", name, p.arch)
		}
	}
	return nil
}
