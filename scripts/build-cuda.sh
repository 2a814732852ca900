#!/usr/bin/env bash
# Compiles ggml's CUDA backend from the engine's sources. `make cuda` starts it.
# Usage: build-cuda.sh ENGINE_DIR ENGINE_VERSION ARCHITECTURES OUT_DIR
# ARCHITECTURES is CMake's list, such as "80;90", or empty: the GPUs of this
# machine, or, when it has none, 80;86;89;90;120. JOBS files are compiled at once.
set -euo pipefail
usage='usage: build-cuda.sh ENGINE_DIR ENGINE_VERSION ARCHITECTURES OUT_DIR'
engine=${1:?$usage} version=${2:?$usage} architectures=${3-} out=${4:?$usage}
here=$(cd "$(dirname "$0")" && pwd)
work=$(cd "$here/.." && pwd)/build
build=${BUILD_DIR:-$work/ggml-cuda}

if [[ -z $architectures ]]; then
    toolkit=$("$here/cuda-toolkit.sh" "$work/cuda-toolkit")
    architectures=$("$here/cuda-architectures.sh" "$toolkit/bin/nvcc")
fi
jobs=$("$here/cuda-jobs.sh")
echo "build-cuda: for compute capability ${architectures//;/, } (times ten), $jobs files at once" >&2
cmake=$("$here/cuda-configure.sh" "$engine" "$version" "$architectures" "$build")
"$cmake" --build "$build" --target ggml-cuda --parallel "$jobs" >&2

if [[ -x $here/../bin/winnow ]]; then
    "$here/cuda-symbols.sh" "$here/../bin/winnow" "$build/libggml-cuda.so"
fi
mkdir -p "$out"
cp "$build/libggml-cuda.so" "$out/.libggml-cuda.so"
mv "$out/.libggml-cuda.so" "$out/libggml-cuda.so" # never a half-written library
echo "build-cuda: $out/libggml-cuda.so is ready; winnow doctor says whether it is used" >&2
