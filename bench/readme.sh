#!/usr/bin/env bash
# Measures every figure of the README: grading and raw rate of the default model
# in several weight formats, without flash attention, and how its ratings tell
# good example records from flawed ones. Run it while nothing else runs.
# Usage: bench/readme.sh DATA.json RESULTS.jsonl [RECORDS]
set -euo pipefail
data=${1:?usage: bench/readme.sh DATA.json RESULTS.jsonl [RECORDS]} results=${2:?usage: bench/readme.sh DATA.json RESULTS.jsonl [RECORDS]} records=${3:-64}
cd "$(dirname "$0")/.."
model=models/smollm2-135m-instruct.gguf
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

measure() { bin/winnow bench --data "$data" --records "$records" --json "$@" | tee -a "$results"; }

: >"$results"
for format in BF16 F16 Q8_0 Q4_0; do
    bin/winnow models quantize "$model" --to "$format" -o "$tmp/$format.gguf"
    measure -m "$tmp/$format.gguf"
done
measure -m "$tmp/BF16.gguf" -fa off

code=0
bin/winnow grade examples/records.json -m "$model" -o "$tmp/scores.jsonl" || code=$?
[ "$code" -eq 0 ] || [ "$code" -eq 3 ] # the blank responses have no rating
bench/separation.py examples/records.json "$tmp/scores.jsonl"
