#!/usr/bin/env bash
# Measures how well variants of a rubric foretell labels: each group of variants in
# one pass over the labelled records. docs/rubrics.md says how to read the result.
# It can be stopped and started again: what is in OUT.jsonl is not measured twice, and
# ratings are kept in OUT.jsonl.scores/. Seconds are meaningful while nothing else runs.
# Usage: bench/rubrics.sh [OPTION...] MODEL.gguf DATA LABELS.jsonl OUT.jsonl
#   --label FIELD   a member of LABELS' objects; may be given several times (default:
#                   kept_accuracy and kept_helpfulness)
#   --records N     about N records of each label, half of them positive, by a seeded hash
#                   (default: all positives and as many negatives; 0: all labels)
#   --half A|B      only half of the labels, as winnow evaluate --half
#   --seed N        for --records and --half (default 1)
#   --group NAME    only this group; may be given several times
#   --groups FILE   the list of groups (default: bench/rubrics/groups); rubrics that are
#                   not shipped are files of its folder
# What follows -- goes to winnow evaluate: bench/rubrics.sh … OUT.jsonl -- -t 1
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
winnow=${WINNOW:-$root/bin/winnow} python=${PYTHON:-python3}
usage() { sed -n '/^# Usage/,/^# What/s/^# //p' "$0" >&2; exit 2; }
fields=() only=() records=balanced half= seed=1 groups=$root/bench/rubrics/groups
while [[ ${1-} == --* ]]; do
    [[ $# -ge 2 ]] || usage
    case $1 in
    --label) fields+=("$2") ;;
    --group) only+=("$2") ;;
    --records) records=$2 ;;
    --half) half=$2 ;;
    --seed) seed=$2 ;;
    --groups) groups=$2 ;;
    *) usage ;;
    esac
    shift 2
done
[[ $# -ge 4 ]] || usage
model=$1 data=$2 labels=$3 out=$4
shift 4
[[ ${1-} != -- ]] || shift
extra=("$@")
[[ ${#fields[@]} -gt 0 ]] || fields=(kept_accuracy kept_helpfulness)
helper() { "$python" "$root/bench/rubrics.py" "$@"; }

work=$out.scores
mkdir -p "$work"
touch "$out"
if [[ -n $half ]]; then
    extra+=(--half "$half" --seed "$seed")
fi
for field in "${fields[@]}"; do
    helper labels "$labels" "$field" --records "$records" --seed "$seed" ${half:+--half "$half"} >"$work/labels-$field.jsonl"
done

lines() { if [[ -f $1 ]]; then wc -l <"$1"; else echo 0; fi; }

while read -r group names; do
    [[ -n $group && $group != \#* ]] || continue
    if [[ ${#only[@]} -gt 0 && " ${only[*]} " != *" $group "* ]]; then continue; fi
    todo=()
    for field in "${fields[@]}"; do
        helper has "$out" "$group" "$field" --model "$model" --seed "$seed" --half "$half" --records "$records" || todo+=("$field")
    done
    [[ ${#todo[@]} -gt 0 ]] || continue
    rubrics=
    for name in $names; do
        file=$(dirname "$groups")/$name.toml
        if [[ -f $file ]]; then name=$file; fi
        rubrics+=${rubrics:+,}$name
    done
    # One scores file for each model and group: the second label grades only what the
    # first one's records lack.
    scores=$work/$(basename "$model" .gguf)-$group.jsonl
    seconds=0 graded=0
    for field in "${todo[@]}"; do
        before=$(lines "$scores") start=$(date +%s%N) code=0
        "$winnow" evaluate "$work/labels-$field.jsonl" --label "$field" --data "$data" -m "$model" -r "$rubrics" \
            --scores "$scores" --max-off-scale 1 --json "${extra[@]}" >"$work/$group-$field.json" || code=$?
        # 3: some of the labels have no rating; n says how many have one.
        if [[ $code -ne 0 && $code -ne 3 ]]; then
            echo "rubrics.sh: group $group, label $field: winnow evaluate ended with code $code" >&2
            exit "$code"
        fi
        new=$(($(lines "$scores") - before - (before == 0)))
        if [[ $new -gt 0 ]]; then
            graded=$((graded + new)) seconds=$((seconds + $(date +%s%N) - start))
        fi
    done
    for field in "${todo[@]}"; do
        helper lines "$work/$group-$field.json" "$scores" "$group" "$field" --model "$model" --graded "$graded" --ns "$seconds" \
            --seed "$seed" --half "$half" --records "$records" | tee -a "$out"
    done
done <"$groups"
