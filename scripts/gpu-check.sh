#!/usr/bin/env bash
# Runs everything that needs a GPU and writes one JSON file of it. The machine needs
# bash, python3 and NVIDIA's driver: no network, no Go, no compiler. `make gpu-bundle`
# makes the bundle on a machine that has those.
#
# Usage: gpu-check.sh [--list] [--seconds N] BUNDLE OUT [STEP...]
#   BUNDLE  the archive, or the folder that it was unpacked to
#   OUT     a folder for the results: OUT/STEP.json each, and OUT/gpu-DEVICE.json
#   STEP    run these alone; --list names them
#   --seconds N  stop after so long. Run it again with the same OUT to go on: what is
#                done is not done again. A step takes less than ten minutes.
# Environment:
#   WINNOW_GPU_CHECK_DEVICE=cpu  try the script itself, on the CPU, with a small model
#   WINNOW_GPU_CHECK_MODEL       a trained GGUF model to compare CPU and GPU with, too
#   WINNOW_GPU_CHECK_MODELS      folder for models (default: in memory, if there is
#                                room). SHAPE-FORMAT.gguf in it is measured as it is
#   WINNOW_GPU_CHECK_PRICE       of a kilowatt-hour (default: 0.30)
#   WINNOW_GPU_CHECK_PYTHON      a Python with PyTorch, to compare with
# docs/gpu.md says what the figures mean.
set -euo pipefail

usage() {
    sed -n '/^# Usage/,/^# docs/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

flags=()
while [[ ${1-} == --* ]]; do
    case $1 in
    --list) flags+=(--list) ;;
    --seconds)
        [[ ${2-} =~ ^[0-9]+$ ]] || usage
        flags+=(--seconds "$2")
        shift
        ;;
    *) usage ;;
    esac
    shift
done
(($# >= 2)) || usage
bundle=$1 out=$2
shift 2
command -v python3 >/dev/null || {
    echo "gpu-check: there is no python3 on the PATH; install it" >&2
    exit 1
}
mkdir -p "$out"
out=$(cd "$out" && pwd)

if [[ -f $bundle ]]; then
    # The sum is that of the archive: another one is unpacked anew.
    sum=$(sha256sum "$bundle" | cut -c1-16)
    folder=$out/bundle-$sum
    if [[ ! -d $folder ]]; then
        echo "gpu-check: unpacking $bundle"
        rm -rf "$folder.part"
        mkdir "$folder.part"
        # Python unpacks xz itself, which not every machine has a program for.
        python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$bundle" "$folder.part" || {
            echo "gpu-check: $bundle cannot be unpacked: want the archive that make gpu-bundle made, whole" >&2
            exit 1
        }
        mv "$folder.part" "$folder"
    fi
    bundle=$folder
fi
[[ -x $bundle/bin/winnow && -f $bundle/SHA256SUMS ]] || {
    echo "gpu-check: $bundle is no bundle: it has no bin/winnow or no SHA256SUMS; make gpu-bundle makes one" >&2
    exit 1
}
(cd "$bundle" && sha256sum --quiet --check SHA256SUMS) || {
    echo "gpu-check: files of $bundle are not what was packed: bring the bundle over again" >&2
    exit 1
}
export PYTHONDONTWRITEBYTECODE=1 # the bundle stays as it was packed
exec python3 "$bundle/bench/gpucheck/check.py" --bundle "$bundle" --out "$out" "${flags[@]}" "$@"
