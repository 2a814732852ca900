#!/usr/bin/env bash
# Runs the same grading job in winnow and in the tools that people use for it,
# one after the other, and prints a table. Run it while nothing else runs.
# Usage: bench/peers/run.sh [--generate N] [--repeats N] MODEL.gguf DATA.json OUT.jsonl [RECORDS]
#   --generate N   records for the ways that generate text, which are slow (8)
#   --repeats N    time the other ways N times and report the median (3)
# The pinned peers are installed in PEERS_DIR (default build/peers) when they are
# not there yet; llama-cpp-python is compiled, which takes some minutes.
set -euo pipefail
usage='usage: bench/peers/run.sh [--generate N] [--repeats N] MODEL.gguf DATA.json OUT.jsonl [RECORDS]'
generate=8 repeats=3
while [[ ${1:-} == --* ]]; do
    case $1 in
    --generate) generate=${2:?$usage} ;;
    --repeats) repeats=${2:?$usage} ;;
    *)
        echo "run: unknown flag $1; $usage" >&2
        exit 2
        ;;
    esac
    shift 2
done
for number in "$generate" "$repeats" "${4:-64}"; do
    [[ $number =~ ^[1-9][0-9]*$ ]] || { echo "run: $number: want a whole number from 1; $usage" >&2; exit 2; }
done
if (($# < 3 || $# > 4)); then
    echo "$usage" >&2
    exit 2
fi
model=$(realpath -m "$1") data=$(realpath -m "$2") out=$(realpath -m "$3") records=${4:-64}
[[ -f $model ]] || { echo "run: no model file $1" >&2; exit 2; }
[[ -f $data ]] || { echo "run: no data file $2" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
peers=$(realpath -m "${PEERS_DIR:-build/peers}")
threads=$(nproc)
export PYTHONDONTWRITEBYTECODE=1
if ((generate > records)); then generate=$records; fi
[[ -x bin/winnow ]] || { echo 'run: bin/winnow is not there: make build first' >&2; exit 1; }

# install NAME WHAT... -- COMMAND...: runs COMMAND unless it has run for these very files.
install() {
    local stamp=$peers/$1.stamp files=() sum
    shift
    while [[ $1 != -- ]]; do
        files+=("$1")
        shift
    done
    shift
    sum=$(cat "${files[@]}" | sha256sum)
    if [[ $(cat "$stamp" 2>/dev/null || true) != "$sum" ]]; then
        "$@" >&2
        echo "$sum" >"$stamp"
    fi
}

install_python() {
    echo 'run: compiling llama-cpp-python for this machine, some minutes' >&2
    rm -rf "$peers/venv"
    python3 -m venv "$peers/venv"
    # No cached wheel: it may have been compiled with other options.
    CMAKE_ARGS=-DGGML_NATIVE=ON CMAKE_BUILD_PARALLEL_LEVEL=$threads "$peers/venv/bin/pip" install --quiet \
        --disable-pip-version-check --no-cache-dir --no-binary llama-cpp-python \
        -r "$here/llama-cpp-python/requirements.txt" -r "$here/typed-gguf/requirements.txt"
}

install_node() {
    mkdir -p "$peers/node"
    rm -rf "$peers/node/node_modules"
    cp "$here"/node-llama-cpp/package*.json "$peers/node/"
    # Not npm ci: it wants the binaries for every other system, which not every registry has.
    (cd "$peers/node" && npm install --omit=optional --ignore-scripts --no-audit --no-fund)
}

mkdir -p "$peers"
install python "$here"/{llama-cpp-python,typed-gguf}/requirements.txt -- install_python
install node "$here"/node-llama-cpp/package{,-lock}.json -- install_node
cp "$here/node-llama-cpp/grade.mjs" "$peers/node/" # modules are found beside the program only

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python=$peers/venv/bin/python
"$python" "$here/job.py" bin/winnow "$data" "$records" "$tmp"
echo "run: $records records, $threads threads, load average before: $(cut -d' ' -f1 /proc/loadavg)" >&2

n=0 failed=0
# one COMMAND...: runs it with $tmp/N.json for its ratings in place of RATINGS, and keeps its line.
one() {
    n=$((n + 1))
    echo "run: ${*##*/}" >&2
    if ! "${@/#RATINGS/$tmp/$n.json}" >"$tmp/$n.out" 2>"$tmp/$n.err"; then
        echo "run: failed: $*" >&2
        tail -5 "$tmp/$n.err" >&2
        failed=1
        return
    fi
    mv "$tmp/$n.out" "$tmp/$n.line"
}
# winnow WAY NOTES FLAGS...: what RATINGS is compared with is the first one's.
winnow() { one "$python" "$here/winnow_line.py" bin/winnow "$model" "$tmp" "$repeats" RATINGS "$@"; }
peer() { # N PROGRAM ARGS...: a peer on the first N records
    local count=$1
    shift
    one "$@" --job "$tmp/job.json" --model "$model" --threads "$threads" --records "$count" --ratings RATINGS
}

winnow exact 'expected rating of 0 to 5 by halves; default settings, first run'
((failed == 0)) || exit 1
winnow cores 'the same, a context for each core' --contexts "$threads" -t 1
winnow first 'criterion first, a context for each core' --contexts "$threads" -t 1 --rubric alpagasus-accuracy-first
llama=("$python" "$here/llama-cpp-python/grade.py") node=(node "$peers/node/grade.mjs")
for flash in on off; do
    peer "$records" "${llama[@]}" --way logits --flash "$flash" --repeats "$repeats"
    peer "$records" "${node[@]}" --way logits --sequences 1 --flash "$flash" --repeats "$repeats"
done
peer "$records" "${llama[@]}" --way packed --repeats "$repeats"
for sequences in 4 8; do
    peer "$records" "${node[@]}" --way logits --sequences "$sequences" --repeats "$repeats"
done
peer "$records" "${node[@]}" --way decide --sequences 4 --repeats "$repeats"
peer "$records" "$python" "$here/typed-gguf/grade.py" --way score --repeats "$repeats"
peer "$generate" "${llama[@]}" --way generate
peer "$generate" "${node[@]}" --way generate
winnow exact 'expected rating of 0 to 5 by halves; default settings, last run'
"$python" "$here/table.py" "$tmp" "$out"
exit "$failed"
