#!/usr/bin/env bash
# Checks that the program has all of ggml's functions that the CUDA backend takes
# from it. Without one, the library cannot be loaded.
# Usage: cuda-symbols.sh PROGRAM LIBRARY_OR_OBJECT...
set -euo pipefail
usage='usage: cuda-symbols.sh PROGRAM LIBRARY_OR_OBJECT...'
program=${1:?$usage}
: "${2:?$usage}"
shift
# A library's undefined symbols are in its dynamic table, and nobody else has them.
# Objects, whose symbols are in the other table, have C++ names from one another.
wanted=$({ nm -Du "$@" 2>/dev/null | awk '$1 == "U" && $2 ~ /ggml|gguf/ { print $2 }'
    nm -u "$@" 2>/dev/null | awk '$1 == "U" && $2 ~ /^(ggml|gguf)_/ { print $2 }'; } | sort -u)
if [[ -z $wanted ]]; then
    echo "cuda-symbols: $* want nothing of ggml: are they the backend's?" >&2
    exit 1
fi
missing=$(comm -23 <(echo "$wanted") <(nm -D --defined-only "$program" | awk '{ print $NF }' | sort -u))
if [[ -n $missing ]]; then
    echo "cuda-symbols: $program does not export" $missing "(-rdynamic in llama/cgo.go; is it of these sources?)" >&2
    exit 1
fi
