#!/usr/bin/env bash
# Compares the shipped rubrics with the criterion behind the record (the paper's
# order) and first: speed, and how far the ratings agree. Run it while nothing
# else runs.
# Usage: bench/criterion.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS]
set -euo pipefail
usage='usage: bench/criterion.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS]'
model=${1:?$usage} data=${2:?$usage} results=${3:?$usage} records=${4:-128}
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for rubric in alpagasus-accuracy alpagasus-accuracy-first; do
    bin/winnow bench --no-profile -m "$model" --data "$data" --records "$records" --rubric "$rubric" --repeats 3 --json | tee -a "$results"
    bin/winnow grade "$data" --no-profile -m "$model" --limit "$records" --rubric "$rubric" --max-off-scale 1 -o "$tmp/$rubric.jsonl"
done
bench/agreement.py "$tmp/alpagasus-accuracy.jsonl" "$tmp/alpagasus-accuracy-first.jsonl" | tee -a "$results"
