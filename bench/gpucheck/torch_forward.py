#!/usr/bin/env python3
"""The forward pass of a model's shape by PyTorch and transformers: a second opinion.

Weights are random, in bf16 on a GPU. A line of JSON for each batch: tokens a
second, the median of several passes timed by CUDA's events. As in the raw rate of
winnow bench, the output matrix is applied to the last token of each sequence alone.
"records" are many sequences of Alpaca's mean length, all alike: what a program that
pads records to one length reaches where there is nothing to pad.

The shape "ceilings" measures the card: a copy within its memory, counting bytes read
and written, and a product of 8192 × 8192 matrices in bf16.
"""

import argparse
import json
import statistics
import time

import torch

# As bench/synthetic has them, from the models' published config.json.
SHAPES = {
    "qwen2.5-0.5b": dict(kind="qwen2", vocab_size=151936, num_hidden_layers=24, hidden_size=896, intermediate_size=4864, num_attention_heads=14, num_key_value_heads=2, tie_word_embeddings=True),
    "qwen2.5-7b": dict(kind="qwen2", vocab_size=152064, num_hidden_layers=28, hidden_size=3584, intermediate_size=18944, num_attention_heads=28, num_key_value_heads=4),
    "llama-3.1-8b": dict(kind="llama", vocab_size=128256, num_hidden_layers=32, hidden_size=4096, intermediate_size=14336, num_attention_heads=32, num_key_value_heads=8),
    "smollm2-135m": dict(kind="llama", vocab_size=49152, num_hidden_layers=30, hidden_size=576, intermediate_size=1536, num_attention_heads=9, num_key_value_heads=3, tie_word_embeddings=True),
    "tiny": dict(kind="llama", vocab_size=512, num_hidden_layers=2, hidden_size=64, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2),
}
RECORD_TOKENS = 128  # about what an Alpaca record and the words of the rubric around it have


def timed(device, work, least=5, seconds=2.0):
    """The median time of a pass, in seconds, after two to warm up."""
    for _ in range(2):
        work()
    times, began = [], time.monotonic()
    while len(times) < least or time.monotonic() - began < seconds:
        if device == "cuda":
            a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            a.record()
            work()
            b.record()
            b.synchronize()
            times.append(a.elapsed_time(b) / 1e3)
        else:
            start = time.monotonic()
            work()
            times.append(time.monotonic() - start)
        if len(times) >= 200:
            break
    return statistics.median(times)


def ceilings(device):
    size, side = (1 << 32, 8192) if device == "cuda" else (1 << 24, 256)
    a = torch.empty(size // 4, dtype=torch.float32, device=device).normal_()
    b = torch.empty_like(a)
    took = timed(device, lambda: b.copy_(a), seconds=0.5)
    found = {"copy_bytes_per_s": 2 * size / took}
    del a, b
    x, y = (torch.randn(side, side, device=device).to(torch.bfloat16) for _ in range(2))
    took = timed(device, lambda: x @ y, seconds=0.5)
    return {**found, "bf16_flop_per_s": 2 * side**3 / took}


def build(shape, device):
    """The model without its output matrix, and that."""
    from transformers import AutoModel, LlamaConfig, Qwen2Config

    s = dict(SHAPES[shape])
    config = {"qwen2": Qwen2Config, "llama": LlamaConfig}[s.pop("kind")](max_position_embeddings=32768, use_cache=False, **s)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model = AutoModel.from_config(config, attn_implementation="sdpa").to(dtype=dtype).eval()
        head = torch.nn.Linear(s["hidden_size"], s["vocab_size"], bias=False)
    return model, head, sum(p.numel() for p in model.parameters()) - s["vocab_size"] * s["hidden_size"]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--shape", choices=["ceilings", *SHAPES], required=True)
    p.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    a = p.parse_args()
    about = {"shape": a.shape, "device": torch.cuda.get_device_name() if a.device == "cuda" else "cpu", "torch": torch.__version__}
    if a.shape == "ceilings":
        print(json.dumps({**about, **ceilings(a.device)}), flush=True)
        return
    import transformers

    about["transformers"] = transformers.__version__
    with torch.inference_mode():
        model, head, weights = build(a.shape, a.device)
        about["dtype"] = str(head.weight.dtype)
        batches = [(1, 512), (1, 1024), (1, 2048), (1, 4096), (64, RECORD_TOKENS)] if a.device == "cuda" else [(1, 64), (4, 16)]
        for sequences, length in batches:
            tokens = torch.randint(0, head.out_features, (sequences, length), device=a.device)

            def work():
                hidden = model(input_ids=tokens, use_cache=False).last_hidden_state
                return head(hidden[:, -1])

            took = timed(a.device, work)
            rate = sequences * length / took
            line = {"sequences": sequences, "length": length, "batch": "records" if sequences > 1 else "raw", "tokens_per_s": rate, "matrix_flop_per_s": 2 * weights * rate}
            if a.device == "cuda":
                line["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
            print(json.dumps({**about, **line}), flush=True)


if __name__ == "__main__":
    main()
