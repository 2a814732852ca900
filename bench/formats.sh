#!/usr/bin/env bash
# Measures a model in every weight format that `winnow models quantize` writes,
# a line of JSON each. grader/engine/format.go says which formats are slow: its
# table must agree. Run it while nothing else runs.
# Usage: bench/formats.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS]
set -euo pipefail
usage='usage: bench/formats.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS]'
model=${1:?$usage} data=${2:?$usage} results=${3:?$usage} records=${4:-32}
model=$(realpath "$model") data=$(realpath "$data") results=$(realpath "$results")
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The command's own help lists the formats: "--to FORMAT  FORMAT: fastest, BF16, F16, …"
formats=$(bin/winnow models quantize --help | sed -n 's/.*FORMAT: fastest, //p' | tr -d ,)
[ -n "$formats" ] || { echo "formats.sh: bin/winnow names no formats: build it with make build" >&2; exit 1; }

: >"$results"
for format in $formats; do
    bin/winnow models quantize "$model" --to "$format" -o "$tmp/$format.gguf"
    bin/winnow bench --no-profile -m "$tmp/$format.gguf" --data "$data" --records "$records" --repeats 3 --json | tee -a "$results"
    rm "$tmp/$format.gguf"
done
