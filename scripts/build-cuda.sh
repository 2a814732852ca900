#!/usr/bin/env bash
# Compiles ggml's CUDA backend from the engine's sources. `make cuda` starts it.
# Usage: build-cuda.sh ENGINE_DIR ENGINE_VERSION ARCHITECTURES OUT_DIR
# ARCHITECTURES is CMake's list, such as "80;90", or empty: the GPUs of this
# machine, or, when it has none, 80;86;89;90;120.
set -euo pipefail
usage='usage: build-cuda.sh ENGINE_DIR ENGINE_VERSION ARCHITECTURES OUT_DIR'
engine=${1:?$usage} version=${2:?$usage} architectures=${3-} out=${4:?$usage}
here=$(cd "$(dirname "$0")" && pwd)
work=$(cd "$here/.." && pwd)/build
toolkit=$("$here/cuda-toolkit.sh" "$work/cuda-toolkit")

for tool in cmake; do
    command -v "$tool" >/dev/null || {
        echo "build-cuda: there is no $tool; install it (pip install $tool does)" >&2
        exit 1
    }
done
if [[ -z $architectures ]]; then
    architectures=$("$here/cuda-architectures.sh")
fi
# Machine code for the cards that were named, and no more: code for other cards
# would be compiled when the program starts, which takes minutes.
real=$(sed -E 's/([0-9]+[a-z]?)(;|$)/\1-real\2/g' <<<"$architectures")

generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
cmake -S "$here/../llama/cuda" -B "$work/ggml-cuda" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release \
    -DENGINE_DIR="$engine" -DENGINE_VERSION="$version" \
    -DCMAKE_CUDA_COMPILER="$toolkit/bin/nvcc" -DCUDAToolkit_ROOT="$toolkit" \
    -DCMAKE_CUDA_ARCHITECTURES="$real" \
    -DCMAKE_CUDA_FLAGS="-L$toolkit/lib64 -L$toolkit/lib" >&2
cmake --build "$work/ggml-cuda" --target ggml-cuda --parallel "${JOBS:-$(nproc)}" >&2
mkdir -p "$out"
cp "$work/ggml-cuda/libggml-cuda.so" "$out/.libggml-cuda.so"
mv "$out/.libggml-cuda.so" "$out/libggml-cuda.so" # never a half-written library
echo "$out/libggml-cuda.so is ready: for compute capability ${architectures//;/, }" >&2
