#!/usr/bin/env bash
# Prints the architectures to compile for, as CMake writes them: those of this
# machine's GPUs, or, when it has none, those of the cards that people use, as far
# as the compiler knows them.
# Usage: cuda-architectures.sh NVCC
set -euo pipefail
nvcc=${1:?usage: cuda-architectures.sh NVCC}
known=$("$nvcc" --list-gpu-code | sed -n 's/^sm_//p')

if found=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null) && [[ -n $found ]]; then
    found=$(tr -d '. ' <<<"$found" | sort -un)
    for architecture in $found; do
        grep -qx "$architecture" <<<"$known" || {
            echo "cuda-architectures: a GPU here has compute capability $architecture (times ten), which $nvcc does not know: use another toolkit (CUDA_PATH), or name architectures (CUDA_ARCHS)" >&2
            exit 1
        }
    done
else
    found=$(printf '%s\n' 80 86 89 90 120 | grep -xF "$known")
fi
paste -sd ';' <<<"$found"
