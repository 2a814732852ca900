#!/usr/bin/env bash
# Measures how good a model is as a judge, with winnow's own commands: how well its
# rating and signals foretell labels, what calibrations make of them, which of two
# responses it prefers, how it stands an audit. Each result is a line of OUT.jsonl; it can
# be stopped and started again, and run for several models at a time. Scores files are kept in OUT.jsonl.scores/.
# Usage: bench/judges.sh [OPTION...] MODEL.gguf OUT.jsonl
#   --data DATA --labels LABELS.jsonl  labelled records; --label FIELD as often as there are (default: kept_accuracy)
#   --records N     as bench/rubrics.sh: some of the labels, half of them positive; 0 for all (default)
#   --rubric LIST   (default accuracy,helpfulness)
#   --signals LIST  for the labelled records (default tokens,nll,ifd,hidden)
#   --seeds LIST    of calibrations, each with its own half held out (default 11,12,13)
#   --pairs PAIRS   pairs with a gold preference, such as LLMBar's; rated alone and in pairs
#   --audit N       an audit of N records of DATA by the default rubric and by --rubric
# What follows -- goes to winnow: bench/judges.sh ... OUT.jsonl -- -t 1
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
winnow=${WINNOW:-$root/bin/winnow} python=${PYTHON:-python3}
usage() { sed -n '/^# Usage/,/^# What/s/^# //p' "$0" >&2; exit 2; }
data= labels= fields=() records=0 rubric=accuracy,helpfulness signals=tokens,nll,ifd,hidden seeds=11,12,13 pairs= audit=
while [[ ${1-} == --* ]]; do
    [[ $# -ge 2 ]] || usage
    case $1 in
    --data) data=$2 ;;
    --labels) labels=$2 ;;
    --label) fields+=("$2") ;;
    --records) records=$2 ;;
    --rubric) rubric=$2 ;;
    --signals) signals=$2 ;;
    --seeds) seeds=$2 ;;
    --pairs) pairs=$2 ;;
    --audit) audit=$2 ;;
    *) usage ;;
    esac
    shift 2
done
[[ $# -ge 2 ]] || usage
model=$1 out=$2
shift 2
[[ ${1-} != -- ]] || shift
extra=("$@")
[[ ${#fields[@]} -gt 0 ]] || fields=(kept_accuracy)
[[ -z $labels && -z $audit || -n $data ]] || usage

name=$(basename "$model" .gguf)
work=$out.scores
mkdir -p "$work"
touch "$out"
helper() { "$python" "$root/bench/judges.py" "$@"; }

# names LIST: rubrics without folders and endings.
names() { local list=() r; for r in ${1//,/ }; do r=${r##*/}; list+=("${r%.toml}"); done; local IFS=,; echo "${list[*]}"; }

# measure KEY... -- COMMAND...: runs a command that prints a line of JSON, unless OUT has it.
measure() {
    local key=()
    while [[ $1 != -- ]]; do key+=("$1"); shift; done
    shift
    if helper has "$out" "model=$name" "${key[@]}"; then return; fi
    local code=0
    "$@" >"$work/result-$$.json" || code=$?
    # 3: some records have no rating; the result says how many.
    if [[ $code -ne 0 && $code -ne 3 ]]; then
        echo "judges.sh: ${key[*]}: ended with code $code" >&2
        exit "$code"
    fi
    helper add "$out" "$work/result-$$.json" "model=$name" "${key[@]}"
}

if [[ -n $labels ]]; then
    for field in "${fields[@]}"; do
        chosen=$work/labels-$field-$records.jsonl
        "$python" "$root/bench/rubrics.py" labels "$labels" "$field" --records "$records" --seed 1 >"$chosen"
        scores=$work/$name-labelled.jsonl
        measure what=labels "label=$field" "records=$records" "rubric=$(names "$rubric")" -- \
            "$winnow" evaluate "$chosen" --label "$field" --data "$data" -m "$model" -r "$rubric" --signals "$signals" \
            --scores "$scores" --json ${extra[@]+"${extra[@]}"}
        for seed in ${seeds//,/ }; do
            # --force: what is not accepted is measured too, and says so.
            measure what=calibration "label=$field" "records=$records" "rubric=$(names "$rubric")" "seed=$seed" -- \
                "$winnow" calibrate "$chosen" --label "$field" --data "$data" --scores "$scores" --seed "$seed" --force --json \
                -o "$work/$name-$field-$seed.cal.json"
        done
    done
fi
if [[ -n $pairs ]]; then
    for how in "$rubric" pairwise; do
        measure what=pairs "rubric=$(names "$how")" -- \
            "$winnow" evaluate "$pairs" -m "$model" -r "$how" --max-off-scale 1 --scores "$work/$name-pairs-$(names "$how").jsonl" --json ${extra[@]+"${extra[@]}"}
    done
fi
if [[ -n $audit ]]; then
    for how in alpagasus-accuracy "$rubric"; do
        measure what=audit "rubric=$(names "$how")" "sample=$audit" -- \
            "$winnow" audit "$data" -m "$model" -r "$how" --sample "$audit" --max-off-scale 1 -o "$work/$name-audit-$(names "$how").jsonl" --json ${extra[@]+"${extra[@]}"}
    done
fi
