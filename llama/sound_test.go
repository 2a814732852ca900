package llama

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	gguf "github.com/gpustack/gguf-parser-go"

	"winnow/internal/tinygguf"
)

// soundModels are what damaged models are made of: tiny models of the
// architectures that a Llama's tensors do for, some with tensors added.
func soundModels() ([]*rawGGUF, error) {
	var sound []*rawGGUF
	for _, c := range []struct {
		arch string
		kind tinygguf.Tokenizer
		turn func(g *rawGGUF)
	}{
		{"llama", tinygguf.BPE, func(*rawGGUF) {}},
		{"llama", tinygguf.SPM, func(*rawGGUF) {}},
		{"llama", tinygguf.SPM, func(g *rawGGUF) { // in another format
			for i := range g.tensors {
				if t := &g.tensors[i]; len(t.dims) > 1 {
					t.typ = uint32(gguf.GGMLTypeQ8_0)
				}
			}
		}},
		{"llama", tinygguf.BPE, func(g *rawGGUF) { // with experts
			g.set("llama.expert_count", uint32(typU32), rawU32(2))
			g.set("llama.expert_used_count", uint32(typU32), rawU32(1))
			g.drop("ffn_gate.", "ffn_up.", "ffn_down.")
			g.each("ffn_gate_inp.weight", 32, 2)
			g.each("ffn_gate_exps.weight", 32, 64, 2)
			g.each("ffn_up_exps.weight", 32, 64, 2)
			g.each("ffn_down_exps.weight", 64, 32, 2)
		}},
		{"qwen2", tinygguf.BPE, func(g *rawGGUF) {
			g.each("attn_q.bias", 32)
			g.each("attn_k.bias", 16)
			g.each("attn_v.bias", 16)
		}},
		{"qwen3", tinygguf.BPE, func(g *rawGGUF) {
			g.each("attn_q_norm.weight", 8)
			g.each("attn_k_norm.weight", 8)
		}},
		{"gemma", tinygguf.SPM, func(g *rawGGUF) { g.drop("output.") }},
		{"gemma3", tinygguf.SPM, func(g *rawGGUF) {
			g.set("gemma3.attention.sliding_window", uint32(typU32), rawU32(16))
			g.drop("output.")
			g.each("attn_q_norm.weight", 8)
			g.each("attn_k_norm.weight", 8)
			g.each("post_attention_norm.weight", 32)
			g.each("post_ffw_norm.weight", 32)
		}},
		{"granite", tinygguf.BPE, func(g *rawGGUF) {
			for _, key := range []string{"logit_scale", "residual_scale", "embedding_scale", "attention.scale"} {
				g.set("granite."+key, uint32(typF32), rawF32(1))
			}
		}},
		{"deci", tinygguf.SPM, func(g *rawGGUF) {
			for _, key := range []string{"attention.head_count", "attention.head_count_kv"} {
				g.set("deci."+key, uint32(typArray), rawArray(typU32, 2, rawU32(4), rawU32(2)))
			}
			for i := range g.tensors {
				if t := &g.tensors[i]; strings.HasPrefix(t.name, "blk.1.attn_q.") {
					t.dims = []uint64{32, 16}
				} else if t.name == "blk.1.attn_output.weight" {
					t.dims = []uint64{16, 32}
				} else if strings.HasPrefix(t.name, "blk.0.attn_k.") || strings.HasPrefix(t.name, "blk.0.attn_v.") {
					t.dims = []uint64{32, 32}
				}
			}
		}},
		{"phi3", tinygguf.SPM, func(g *rawGGUF) {
			g.drop("attn_q.", "attn_k.", "attn_v.", "ffn_gate.", "ffn_up.")
			g.each("attn_qkv.weight", 32, 64)
			g.each("ffn_up.weight", 32, 128)
		}},
		{"gpt2", tinygguf.BPE, func(g *rawGGUF) {
			g.drop("attn_q.", "attn_k.", "attn_v.", "ffn_gate.")
			g.set("gpt2.attention.layer_norm_epsilon", uint32(typF32), rawF32(1e-5))
			g.each("attn_qkv.weight", 32, 64)
			g.each("attn_qkv.bias", 64)
			for _, name := range []string{"attn_norm", "attn_output", "ffn_norm", "ffn_down"} {
				g.each(name+".bias", 32)
			}
			g.each("ffn_up.bias", 64)
			g.tensors = append(g.tensors, rawTensor{name: "position_embd.weight", dims: []uint64{32, 512}}, rawTensor{name: "output_norm.bias", dims: []uint64{32}})
		}},
		{"gemma2", tinygguf.SPM, func(g *rawGGUF) {
			g.drop("output.")
			g.each("post_attention_norm.weight", 32)
			g.each("post_ffw_norm.weight", 32)
		}},
		{"olmo2", tinygguf.BPE, func(g *rawGGUF) {
			g.drop("attn_norm.", "ffn_norm.")
			g.set("olmo2.attention.sliding_window", uint32(typU32), rawU32(16))
			g.each("attn_q_norm.weight", 32)
			g.each("attn_k_norm.weight", 16)
			g.each("post_attention_norm.weight", 32)
			g.each("post_ffw_norm.weight", 32)
		}},
		{"gpt-oss", tinygguf.BPE, func(g *rawGGUF) {
			for key, x := range map[string]uint32{"expert_count": 2, "expert_used_count": 1, "expert_feed_forward_length": 64, "attention.sliding_window": 16} {
				g.set("gpt-oss."+key, uint32(typU32), rawU32(x))
			}
			g.drop("ffn_norm.", "ffn_gate.", "ffn_up.", "ffn_down.")
			g.each("post_attention_norm.weight", 32)
			g.each("attn_sinks.weight", 4)
			g.each("attn_q.bias", 32)
			g.each("attn_k.bias", 16)
			g.each("attn_v.bias", 16)
			g.each("attn_output.bias", 32)
			g.each("ffn_gate_inp.weight", 32, 2)
			g.each("ffn_gate_inp.bias", 2)
			for _, name := range []string{"ffn_gate_exps", "ffn_up_exps"} {
				g.each(name+".weight", 32, 64, 2)
				g.each(name+".bias", 64, 2)
			}
			g.each("ffn_down_exps.weight", 64, 32, 2)
			g.each("ffn_down_exps.bias", 32, 2)
		}},
		{"mistral3", tinygguf.BPE, func(*rawGGUF) {}},
		{"minicpm", tinygguf.SPM, func(*rawGGUF) {}},
		{"smollm3", tinygguf.BPE, func(*rawGGUF) {}},
		{"internlm2", tinygguf.SPM, func(*rawGGUF) {}},
		{"xverse", tinygguf.BPE, func(*rawGGUF) {}},
	} {
		var b bytes.Buffer
		o := smallModel(c.kind, c.arch)
		o.Layers = int(windowed[c.arch])
		if err := tinygguf.Write(&b, o); err != nil {
			return nil, err
		}
		g := parseRaw(b.Bytes())
		c.turn(g)
		g.lay()
		sound = append(sound, g)
	}
	return sound, nil
}

// drop removes the tensors whose names have one of the parts.
func (g *rawGGUF) drop(parts ...string) {
	g.tensors = slices.DeleteFunc(g.tensors, func(t rawTensor) bool {
		return slices.ContainsFunc(parts, func(part string) bool {
			return strings.Contains(t.name, part) && !strings.Contains(t.name, "attn_"+part)
		})
	})
}

// each adds a tensor to every layer.
func (g *rawGGUF) each(name string, dims ...uint64) {
	layers := 0
	for _, t := range g.tensors {
		if strings.HasSuffix(t.name, "attn_output.weight") {
			layers++
		}
	}
	for i := range layers {
		g.tensors = append(g.tensors, rawTensor{name: fmt.Sprintf("blk.%d.%s", i, name), dims: slices.Clone(dims)})
	}
}
