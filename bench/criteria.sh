#!/usr/bin/env bash
# What a second criterion costs in one pass: records/s by one criterion and by two,
# for the shipped pair that names its criterion last and for the paper's pair.
# Run it while nothing else runs.
# Usage: bench/criteria.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS]
set -euo pipefail
usage='usage: bench/criteria.sh MODEL.gguf DATA.json RESULTS.jsonl [RECORDS]'
model=${1:?$usage} data=${2:?$usage} results=${3:?$usage} records=${4:-128}
cd "$(dirname "$0")/.."

: >"$results"
for rubrics in accuracy accuracy,helpfulness alpagasus-accuracy alpagasus-accuracy,alpagasus-helpfulness; do
    bin/winnow bench --no-profile -m "$model" --data "$data" --records "$records" --rubric "$rubrics" --repeats 3 --json | tee -a "$results"
done
