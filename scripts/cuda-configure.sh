#!/usr/bin/env bash
# Configures the compilation of ggml's CUDA backend in a folder of its own, and
# prints the path of the CMake that did it.
# Usage: cuda-configure.sh ENGINE_DIR ENGINE_VERSION ARCHITECTURES BUILD_DIR [CMAKE_OPTION...]
set -euo pipefail
usage='usage: cuda-configure.sh ENGINE_DIR ENGINE_VERSION ARCHITECTURES BUILD_DIR [CMAKE_OPTION...]'
engine=${1:?$usage} version=${2:?$usage} architectures=${3:?$usage} build=${4:?$usage}
shift 4
here=$(cd "$(dirname "$0")" && pwd)
sources=$(cd "$here/../llama/cuda" && pwd)
work=$(cd "$here/.." && pwd)/build
toolkit=$("$here/cuda-toolkit.sh" "$work/cuda-toolkit")
cmake=$("$here/cuda-cmake.sh" "$work/cuda-cmake")

cached() { # NAME: what the folder was configured with before
    sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}
# CMake does not go on with another compiler or from another folder.
if [[ -e $build/CMakeCache.txt && ($(cached CMAKE_CUDA_COMPILER) != "$toolkit/bin/nvcc" || $(cached CMAKE_HOME_DIRECTORY) != "$sources") ]]; then
    echo "cuda-configure: the toolkit or the folder is another one than before: starting over" >&2
    rm -rf "$build"
fi
generator=()
if [[ ! -e $build/CMakeCache.txt ]] && command -v ninja >/dev/null; then
    generator=(-G Ninja)
fi
# Machine code for the cards that were named, and no more: code for other cards
# would be compiled when the program starts, which takes minutes.
real=$(sed -E 's/([0-9]+[a-z]?)(;|$)/\1-real\2/g' <<<"$architectures")
"$cmake" -S "$sources" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release \
    -DENGINE_DIR="$engine" -DENGINE_VERSION="$version" \
    -DCMAKE_CUDA_COMPILER="$toolkit/bin/nvcc" -DCUDAToolkit_ROOT="$toolkit" \
    -DCMAKE_CUDA_ARCHITECTURES="$real" \
    -DCMAKE_CUDA_FLAGS="-L$toolkit/lib64 -L$toolkit/lib" "$@" >&2
echo "$cmake"
