#!/usr/bin/env bash
# Packs what scripts/gpu-check.sh needs on a GPU machine into one archive. `make
# gpu-bundle` compiles the programs for any x86-64 processor since 2013 and starts it.
# Usage: gpu-bundle.sh FOLDER ARCHIVE
# FOLDER has bin/winnow and test/*.test; the rest is taken from the source tree:
# the CUDA backend (make cuda; CUDA_BACKEND names another file) and, where they were
# built, the kernels (make kernels; CUDA_KERNELS).
set -euo pipefail
usage='usage: gpu-bundle.sh FOLDER ARCHIVE'
folder=${1:?$usage} archive=${2:?$usage}
tree=$(cd "$(dirname "$0")/.." && pwd)
most=$((64 << 20)) # bytes of the archive

backend=${CUDA_BACKEND:-$tree/build/cuda/libggml-cuda.so}
kernels=${CUDA_KERNELS:-$tree/build/kernels/libwinnow-kernels.so}
[[ -f $backend ]] || {
    echo "gpu-bundle: there is no $backend: make cuda CUDA_ARCHS=90 builds it (90: the GPU's compute capability, times ten)" >&2
    exit 1
}
mkdir -p "$folder"/{lib/winnow,scripts,examples,bench/gpucheck,bench/kernels}
install -m 755 "$backend" "$folder/lib/winnow/libggml-cuda.so"
if [[ -f $kernels ]]; then
    install -m 755 "$kernels" "$folder/lib/winnow/libwinnow-kernels.so"
else
    echo "gpu-bundle: without kernels: there is no $kernels (make kernels)" >&2
fi
strip --strip-unneeded "$folder"/lib/winnow/*.so
cp "$tree/scripts/gpu-check.sh" "$folder/scripts/"
cp "$tree/examples/records.json" "$folder/examples/"
cp "$tree"/bench/gpucheck/*.py "$folder/bench/gpucheck/"
if [[ -f $tree/bench/kernels/torch_peers.py ]]; then
    cp "$tree"/bench/kernels/*.py "$folder/bench/kernels/"
fi
cat >"$folder/bundle.json" <<JSON
{"version": "$(git -C "$tree" describe --tags --always --dirty)", "commit": "$(git -C "$tree" rev-parse HEAD)", "files": "SHA256SUMS",
 "march": "${MARCH:-}", "backend_sha256": "$(sha256sum "$folder/lib/winnow/libggml-cuda.so" | cut -d' ' -f1)"}
JSON
(cd "$folder" && find . -type f ! -name SHA256SUMS -print0 | LC_ALL=C sort -z | xargs -0 sha256sum >SHA256SUMS)

# Programs that hold the same engine stand side by side, within one window. The times
# are the commit's: equal inputs give equal bytes.
window=$((192 << 20))
date=$(git -C "$tree" log -1 --format=%cI)
tar -C "$folder" --sort=name --mtime="$date" --owner=0 --group=0 --numeric-owner -c . |
    xz -T1 --format=xz --x86 --lzma2=preset=9e,dict=$window >"$archive.part"
size=$(stat -c %s "$archive.part")
if ((size > most)); then
    echo "gpu-bundle: the archive has $size bytes, more than $most: build the backend for fewer architectures (CUDA_ARCHS)" >&2
    exit 1
fi
mv "$archive.part" "$archive"
echo "$archive is ready: $((size >> 20)) MiB of 64" >&2
