#!/usr/bin/env bash
# How far the ratings of packed records are from those of the same records alone,
# in three formats: a line of JSON each. Flags, such as -fa off, may follow.
# Usage: bench/alone.sh MODEL.gguf DATA.json RESULTS.jsonl RECORDS [FLAG...]
set -euo pipefail
usage='usage: bench/alone.sh MODEL.gguf DATA.json RESULTS.jsonl RECORDS [FLAG...]'
model=${1:?$usage} data=${2:?$usage} results=${3:?$usage} records=${4:?$usage}
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

: >"$results"
for format in F16 Q4_0 Q4_K_M; do
    bin/winnow models quantize "$model" --to "$format" -o "$tmp/$format.gguf"
    bin/winnow bench --alone --no-profile -m "$tmp/$format.gguf" --data "$data" --records "$records" --json "${@:5}" | tee -a "$results"
done
