#!/usr/bin/env bash
# Compiles a handful of the CUDA backend's files, in half a minute: do the
# engine's sources still fit what winnow puts around them? Needs no GPU. `make
# cuda-canary` starts it, and so does continuous integration.
# Usage: cuda-canary.sh ENGINE_DIR ENGINE_VERSION PROGRAM
set -euo pipefail
usage='usage: cuda-canary.sh ENGINE_DIR ENGINE_VERSION PROGRAM'
engine=${1:?$usage} version=${2:?$usage} program=${3:?$usage}
here=$(cd "$(dirname "$0")" && pwd)
work=$(cd "$here/.." && pwd)/build
build=$work/cuda-canary
cuda=$engine/ml/backend/ggml/ggml/src/ggml-cuda

cmake=$("$here/cuda-configure.sh" "$engine" "$version" 90 "$build" '-DONLY=norm.cu;rope.cu;softmax.cu')
"$cmake" --build "$build" --target ggml-cuda --parallel "$("$here/cuda-jobs.sh")" >&2
objects=("$build"/CMakeFiles/ggml-cuda.dir/{backend,choose}.cu.o)

# The library's three functions and ggml's entry are visible, the rest of the
# backend asks our choice, and the program has what they want.
visible=$(nm --defined-only "${objects[@]}" | awk '$2 == "T" { print $3 }')
for name in ggml_backend_init winnow_cuda_engine winnow_cuda_architectures winnow_cuda_matmul; do
    grep -qx "$name" <<<"$visible" || {
        echo "cuda-canary: the backend does not define $name" >&2
        exit 1
    }
done
asked=$(nm "${objects[0]}" | awk '$1 == "U" && /should_use_mmq/ { print $2 }')
defined=$(nm --defined-only "${objects[1]}" | awk '/should_use_mmq/ { print $3 }')
upstream=$(grep upstream <<<"$defined" || true)
if [[ -z $asked || -z $upstream || $asked != "$(grep -v upstream <<<"$defined")" ]]; then
    echo "cuda-canary: ggml-cuda.cu asks '$asked' about its kernels; choose.cu answers '$defined', want that and ggml's own answer under another name" >&2
    exit 1
fi
"$here/cuda-symbols.sh" "$program" "${objects[@]}"

# Every product of F16 in ggml-cuda.cu goes through our function, which relies on
# factors of 1 and 0.
toolkit=$("$here/cuda-toolkit.sh" "$work/cuda-toolkit")
"$toolkit/bin/nvcc" -E -std=c++17 -arch=sm_90 -DGGML_CUDA_NO_VMM -I"$cuda" -I"$cuda/.." -I"$cuda/../../include" \
    "$here/../llama/cuda/backend.cu" -o "$build/backend.i"
"${PYTHON:-python3}" "$here/cuda-products.py" "$build/backend.i"
echo "cuda-canary: the backend's files compile, and products go through winnow's choice" >&2
