#!/usr/bin/env bash
# Compiles kernels/*.cu into one library. `make kernels` starts it. Needs no GPU.
# Usage: build-kernels.sh ARCHITECTURES OUT_DIR
# ARCHITECTURES is CMake's list, such as "80;90", or empty: 80;86;89;90;120. Cards
# newer than the newest of them run its portable code (PTX), which the driver
# compiles when it is first used.
set -euo pipefail
usage='usage: build-kernels.sh ARCHITECTURES OUT_DIR'
architectures=${1-} out=${2:?$usage}
architectures=${architectures:-80;86;89;90;120}
cd "$(dirname "$0")/.."
toolkit=$(scripts/cuda-toolkit.sh build/cuda-toolkit)

IFS=';' read -ra list <<<"$architectures"
code=()
newest=0
for a in "${list[@]}"; do
    [[ $a =~ ^[1-9][0-9]+$ ]] || {
        echo "build-kernels: '$a' in '$architectures' is no compute capability: write 90 for 9.0, and ; between them" >&2
        exit 2
    }
    code+=(-gencode "arch=compute_$a,code=sm_$a")
    ((a > newest)) && newest=$a
done
code+=(-gencode "arch=compute_$newest,code=compute_$newest")

# -fmad=false: products and sums are fused where the source says fmaf, nowhere else
# (kernels/doc.go), so that a processor can compute the same bits.
flags=(-std=c++17 -O3 -fmad=false "${code[@]}" -Werror all-warnings
    -Xcompiler -Wall,-Wextra,-Werror,-fPIC,-fvisibility=hidden
    "-DWINNOW_ARCHITECTURES=\"$architectures\"")

objects=build/kernels/objects
rm -rf "$objects"
mkdir -p "$objects" "$out"
printf '%s\0' kernels/*.cu | xargs -0 -P "${JOBS:-$(nproc)}" -I{} sh -c '
    source=$1 objects=$2 nvcc=$3
    shift 3
    "$nvcc" "$@" -c "$source" -o "$objects/$(basename "$source" .cu).o"
' build {} "$objects" "$toolkit/bin/nvcc" "${flags[@]}"

"$toolkit/bin/nvcc" -shared -cudart static "-L$toolkit/lib64" "-L$toolkit/lib" "${code[@]}" \
    -Xcompiler -static-libstdc++,-static-libgcc -Xlinker -z,defs \
    "$objects"/*.o -o "$out/.libwinnow-kernels.so"
mv "$out/.libwinnow-kernels.so" "$out/libwinnow-kernels.so" # never a half-written library
rm -rf "$objects"
echo "$out/libwinnow-kernels.so is ready: for compute capability ${architectures//;/, } and newer" >&2
