#!/usr/bin/env bash
# Prints the root of a CUDA toolkit with nvcc and cuBLAS: CUDA_PATH if it is set,
# else the one whose nvcc is on the PATH, else /usr/local/cuda, else one put
# together from the Python package index in FOLDER (840 MB; no GPU and no driver
# needed, nothing outside FOLDER is touched).
# Usage: cuda-toolkit.sh FOLDER
set -euo pipefail
folder=${1:?usage: cuda-toolkit.sh FOLDER}
release=13.0

root_of() { # NVCC: the toolkit it belongs to
    dirname "$(dirname "$(readlink -f "$1")")"
}

if [[ -n ${CUDA_PATH:-} ]]; then
    [[ -x $CUDA_PATH/bin/nvcc ]] || {
        echo "cuda-toolkit: CUDA_PATH is $CUDA_PATH, which has no bin/nvcc" >&2
        exit 1
    }
    (cd "$CUDA_PATH" && pwd)
    exit
fi
for nvcc in "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc; do
    if [[ -n $nvcc && -x $nvcc ]]; then
        root_of "$nvcc"
        exit
    fi
done

root=$folder/nvidia/cu${release%%.*}
if [[ ! -e $root/.complete ]]; then
    echo "cuda-toolkit: no nvcc here; fetching nvcc $release and its libraries (840 MB)" >&2
    rm -rf "$folder"
    packages=()
    for part in cuda-nvcc nvvm cuda-crt cuda-cccl cuda-runtime cublas; do
        packages+=("nvidia-$part==$release.*")
    done
    "${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --no-deps --only-binary=:all: --target "$folder" "${packages[@]}" || {
        echo "cuda-toolkit: pip could not fetch ${packages[*]}. Install a CUDA toolkit, or set CUDA_PATH to one." >&2
        exit 1
    }
    # The packages name their libraries by version only; linkers look for the plain name.
    for lib in "$root"/lib/lib*.so.*; do
        ln -sf "$(basename "$lib")" "${lib%%.so.*}.so"
    done
    ln -sfn lib "$root/lib64"
    touch "$root/.complete"
fi
(cd "$root" && pwd)
