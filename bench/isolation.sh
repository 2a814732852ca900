#!/usr/bin/env bash
# What the engine's own process costs: the same records are graded with the engine
# in a process of its own and within the program, in turns, five times each. Prints
# a line of JSON with the seconds of each run, without loading the model, and the
# ratio of the medians; 1.01 means that the process costs one percent. The scores
# must have the same bytes.
# Run it while nothing else runs.
# Usage: bench/isolation.sh MODEL.gguf DATA.json RECORDS RESULTS.jsonl
set -euo pipefail
usage='usage: bench/isolation.sh MODEL.gguf DATA.json RECORDS RESULTS.jsonl'
model=${1:?$usage} data=${2:?$usage} records=${3:?$usage} results=${4:?$usage}
pairs=5
winnow=$(dirname "$0")/../bin/winnow
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

seconds() { # FLAGS...: grades into a fresh file, prints how long it took
    rm -f "$tmp/scores.jsonl"
    local code=0
    "$winnow" grade "$data" -m "$model" -o "$tmp/scores.jsonl" --limit "$records" --no-profile --json "$@" >"$tmp/summary.json" || code=$?
    if [[ $code -ne 0 && $code -ne 3 ]]; then # 3: some records have no rating
        echo "isolation: winnow grade ended with exit code $code" >&2
        return 1
    fi
    if [[ -e $tmp/first.jsonl ]]; then
        cmp "$tmp/scores.jsonl" "$tmp/first.jsonl" >&2
    else
        cp "$tmp/scores.jsonl" "$tmp/first.jsonl"
    fi
    sed -n 's/.*"seconds":\([0-9.e+-]*\).*/\1/p' "$tmp/summary.json"
}

within='' isolated=''
for ((i = 0; i < pairs; i++)); do
    if ((i % 2)); then
        isolated+="$(seconds) "
        within+="$(seconds --in-process) "
    else
        within+="$(seconds --in-process) "
        isolated+="$(seconds) "
    fi
done

median() { # NUMBERS...
    printf '%s\n' "$@" | sort -g | sed -n "$((($# + 1) / 2))p"
}
list() { # NUMBERS...
    local IFS=,
    echo "[$*]"
}
# shellcheck disable=SC2086 # numbers in a row
set -- "$(median $within)" "$(median $isolated)" "$(list $within)" "$(list $isolated)"
ratio=$(awk -v a="$1" -v b="$2" 'BEGIN { printf "%.4f", b / a }')
printf '{"kind":"isolation","model":"%s","records":%d,"in_process_s":%s,"isolated_s":%s,"in_process_median_s":%s,"isolated_median_s":%s,"ratio":%s}\n' \
    "$(basename "$model")" "$records" "$3" "$4" "$1" "$2" "$ratio" | tee -a "$results"
