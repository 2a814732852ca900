#!/usr/bin/env bash
# Compares the speed of a synthetic SmolLM2-135M with that of the real model, in
# every format that both can have: one line of JSON a format, with both rates in
# tokens per second and synthetic ÷ real. Where the shapes are right, the ratio of
# the raw rates is 1 within the noise. Each ratio is of the medians of ROUNDS
# pairs of runs, in turns. Run it while nothing else runs.
# Usage: bench/synthetic.sh [REAL.gguf [DATA.json [RECORDS [ROUNDS]]]]
set -euo pipefail
cd "$(dirname "$0")/.."
real=${1:-models/smollm2-135m-instruct.gguf} data=${2:-examples/records.json} records=${3:-32} rounds=${4:-3}
if [[ ! -f $real ]]; then
    echo "synthetic: no model at $real: make model fetches it, or give another SmolLM2-135M" >&2
    exit 1
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for format in F16 Q8_0 Q4_K_M; do
    bin/winnow models quantize "$real" --to "$format" -o "$tmp/real.gguf"
    bin/winnow bench synthesize smollm2-135m --to "$format" -o "$tmp/synthetic.gguf"
    rm -f "$tmp"/*.jsonl
    for ((i = 0; i < rounds; i++)); do
        for model in real synthetic; do
            bin/winnow bench --no-profile -m "$tmp/$model.gguf" --data "$data" --records "$records" --repeats 3 --json >>"$tmp/$model.jsonl"
        done
    done
    "${PYTHON:-python3}" - "$format" "$tmp/real.jsonl" "$tmp/synthetic.jsonl" <<'PY'
import json, statistics, sys

name, *files = sys.argv[1:]
real, synthetic = ([json.loads(line) for line in open(f)] for f in files)
line = {"format": name, "rounds": len(real), **{k: real[0][k] for k in ("winnow", "machine", "device", "threads", "batch_tokens", "records")}}
line["tokens_real"], line["tokens_synthetic"] = real[0]["tokens"], synthetic[0]["tokens"]
for key in ("raw_tokens_per_s", "grading_tokens_per_s"):
    a, b = (statistics.median(run[key] for run in runs) for runs in (real, synthetic))
    line[key + "_real"], line[key + "_synthetic"], line[key + "_ratio"] = round(a, 1), round(b, 1), round(b / a, 3)
print(json.dumps(line), flush=True)
PY
done
