package llama

import "strings"

// rename gives a model another architecture.
func (g *rawGGUF) rename(arch string) string {
	old := archOf(g)
	for i, k := range g.keys {
		if rest, ok := strings.CutPrefix(k.name, old+"."); ok {
			g.keys[i].name = arch + "." + rest
		}
	}
	g.set("general.architecture", uint32(typString), rawString(arch))
	return old + " as architecture " + arch
}

// asked are keys that one architecture or the other asks for, with values that
// suit a small model.
var asked = map[string][]byte{
	"attention.layer_norm_epsilon": rawF32(1e-5), "attention.clamp_kqv": rawF32(8), "attention.max_alibi_bias": rawF32(8),
	"attention.scale": rawF32(1), "logit_scale": rawF32(1), "residual_scale": rawF32(1), "embedding_scale": rawF32(1),
	"rope.scaling.attn_factor": rawF32(1), "rope.scaling.original_context_length": rawU32(64), "expert_weights_scale": rawF32(1),
	"attn_logit_softcapping": rawF32(50), "final_logit_softcapping": rawF32(30), "router_logit_softcapping": rawF32(30),
	"attention.output_scale": rawF32(1), "attention.temperature_length": rawU32(64),
	"attention.sliding_window": rawU32(16), "leading_dense_block_count": rawU32(0), "expert_shared_count": rawU32(1),
	"expert_feed_forward_length": rawU32(64), "expert_shared_feed_forward_length": rawU32(64), "interleave_moe_layer_step": rawU32(1),
	"expert_gating_func": rawU32(1), "attention.q_lora_rank": rawU32(8), "attention.kv_lora_rank": rawU32(8), "expert_chunk_feed_forward_length": rawU32(64),
	"experts_per_group": rawU32(1), "nextn_predict_layers": rawU32(0),
}

// families are the ways to make files that harm, by a seed and a number.
var families = map[string]func(seed, n uint64, sound []*rawGGUF) ([]byte, string){
	"mutated": mutate,
	"renamed": func(stride, n uint64, sound []*rawGGUF) ([]byte, string) {
		n *= stride
		g := sound[n%uint64(len(sound))].clone()
		arch := archs[n/uint64(len(sound))]
		how := g.rename(arch)
		for name, body := range asked {
			if key := arch + "." + name; g.find(key) < 0 {
				t := uint32(typU32)
				if body[3] != 0 { // no small number is as large
					t = uint32(typF32)
				}
				g.set(key, t, body)
			}
		}
		b, _ := g.bytes()
		return b, how
	},
}
