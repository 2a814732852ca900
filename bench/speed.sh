#!/usr/bin/env bash
# Measures the figures of the README's table of speed, a line of JSON each: grading
# and raw rate of a model in several weight formats, with the default settings and with
# a context for each core; for BF16 also without flash attention, in the batches that
# suit it.
# Run it while nothing else runs.
# Usage: bench/speed.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS [REPEATS]]
# RECORDS (256) are graded in F16 and Q4_0 with the default settings, 64 elsewhere.
set -euo pipefail
usage='usage: bench/speed.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS [REPEATS]]'
model=${1:?$usage} data=${2:?$usage} results=${3:?$usage} records=${4:-256} repeats=${5:-3}
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

measure() { # FORMAT RECORDS FLAGS...
    bin/winnow bench --no-profile -m "$tmp/$1.gguf" --data "$data" --records "$2" --repeats "$repeats" --json "${@:3}" | tee -a "$results"
}

: >"$results"
for format in F16 Q4_0 BF16 Q8_0; do
    bin/winnow models quantize "$model" --to "$format" -o "$tmp/$format.gguf"
    case $format in
    F16 | Q4_0) measure "$format" "$records" ;;
    *) measure "$format" 64 ;;
    esac
    measure "$format" 64 --contexts "$(nproc)" -t 1
    if [ "$format" = BF16 ]; then
        # With 36 tokens shared by all records, batches of 220 stay within 256 cells.
        measure "$format" 64 -ub 220 -fa off
    fi
    rm "$tmp/$format.gguf"
done
