#!/usr/bin/env bash
# Measures package kernels and, with the same data on the same cores, the libraries
# that people use for the same work; all of it becomes one file of JSON lines.
# Run it while nothing else runs: it takes about ten minutes on two cores.
# Usage: bench/kernels/run.sh OUT.jsonl [FLAGS OF bench-kernels...]
# The pinned libraries of requirements.txt are installed in PEERS_DIR (default
# build/kernel-peers) when they are not there yet. The data go to a temporary
# folder (TMPDIR), about a gigabyte.
set -euo pipefail
usage='usage: bench/kernels/run.sh OUT.jsonl [-op NAME] [-repeats N] [more flags of bench-kernels]'
if (($# < 1)) || [[ $1 == -* ]]; then
    echo "$usage" >&2
    exit 2
fi
out=$(realpath -m "$1")
shift
mkdir -p "$(dirname "$out")"
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
program=bin/bench-kernels
[[ -x $program ]] || { echo "run: $program is not there: make $program first" >&2; exit 1; }
peers=$(realpath -m "${PEERS_DIR:-build/kernel-peers}")
python=$peers/bin/python
sum=$(sha256sum <"$here/requirements.txt")
if [[ $(cat "$peers/requirements.sha256" 2>/dev/null || true) != "$sum" ]]; then
    rm -rf "$peers"
    "${PYTHON:-python3}" -m venv "$peers"
    "$peers/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    echo "$sum" >"$peers/requirements.sha256"
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
start=$SECONDS failed=0
echo "run: load average before: $(cut -d' ' -f1-3 /proc/loadavg)" >&2
"$program" -json "$out" -dump "$tmp" "$@" || failed=1
echo "run: winnow's forms took $((SECONDS - start)) s" >&2
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/peers.py" --data "$tmp" --results "$out" || failed=1
echo "run: all took $((SECONDS - start)) s; $out has $(wc -l <"$out") lines" >&2
exit "$failed"
