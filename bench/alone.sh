#!/usr/bin/env bash
# How far the ratings of packed records are from those of the same records alone,
# in several formats, with and without flash attention: a line of JSON each.
# Usage: bench/alone.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS]
set -euo pipefail
usage='usage: bench/alone.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS]'
model=${1:?$usage} data=${2:?$usage} results=${3:?$usage} records=${4:-500}
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

: >"$results"
for format in F16 Q4_0; do
    bin/winnow models quantize "$model" --to "$format" -o "$tmp/$format.gguf"
    for settings in '-ub 512 -fa on' '-ub 220 -fa off'; do
        # shellcheck disable=SC2086 # the settings are several words
        bin/winnow bench --alone --no-profile -m "$tmp/$format.gguf" --data "$data" --records "$records" --json $settings | tee -a "$results"
    done
done
