#!/usr/bin/env bash
# Measures the figures of the README's table of speed: grading and raw rate of a
# model in several weight formats, each with the default settings and with small
# batches without flash attention, and how far packed ratings are from those of
# records alone. Run it while nothing else runs.
# Usage: bench/speed.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS [REPEATS [FORMAT...]]]
set -euo pipefail
usage='usage: bench/speed.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS [REPEATS [FORMAT...]]]'
model=${1:?$usage} data=${2:?$usage} results=${3:?$usage} records=${4:-256} repeats=${5:-3}
shift $(($# < 5 ? $# : 5))
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

: >"$results"
for format in "${@:-F16 Q4_0}"; do
    for f in $format; do # the default is two words
        bin/winnow models quantize "$model" --to "$f" -o "$tmp/$f.gguf"
        # With 36 tokens shared by all records, batches of 220 stay within 256 cells.
        for settings in '-ub 512 -fa on' '-ub 220 -fa off'; do
            # shellcheck disable=SC2086 # the settings are several words
            bin/winnow bench --no-profile -m "$tmp/$f.gguf" --data "$data" --records "$records" --repeats "$repeats" --json $settings | tee -a "$results"
        done
        rm "$tmp/$f.gguf"
    done
done
