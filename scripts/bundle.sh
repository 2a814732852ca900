#!/usr/bin/env bash
# Packs the program, its CUDA libraries where they are built, and what is named
# beside, into one file for a machine without a network. `make bundle` starts it.
# Usage: bundle.sh WINNOW VERSION OUT.tar [FILE...]
# FILE is a model or an image (docker save); it is carried as it is.
set -euo pipefail
usage='usage: bundle.sh WINNOW VERSION OUT.tar [FILE...]'
winnow=${1:?$usage} version=${2:?$usage} out=${3:?$usage}
shift 3
here=$(cd "$(dirname "$0")/.." && pwd)
name=winnow-$version-linux-x86_64

mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d "$(dirname "$out")/.bundle-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
program=$tmp/$name bundle=$tmp/$name-bundle
mkdir -p "$program"/{bin,lib/winnow,share} "$bundle"

cp "$winnow" "$program/bin/winnow"
for lib in build/cuda/libggml-cuda.so build/kernels/libwinnow-kernels.so; do
    if [[ -e $here/$lib ]]; then
        cp "$here/$lib" "$program/lib/winnow/"
    else
        echo "bundle: there is no $lib: the bundle computes on the CPU only (make cuda kernels builds it)" >&2
    fi
done
cp -r "$here"/{LICENSE,NOTICE,README.md,docs,examples} "$program/share/"

# Files in name order, without this machine's users and times: the same inputs
# give the same archive.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$tmp" -c "$name" | xz -T0 -6 >"$bundle/$name.tar.xz"
for file; do
    [[ -f $file ]] || {
        echo "bundle: $file is no file" >&2
        exit 1
    }
    if [[ -e $bundle/$(basename "$file") ]]; then
        echo "bundle: two files are named $(basename "$file")" >&2
        exit 1
    fi
    ln -s "$(readlink -f "$file")" "$bundle/$(basename "$file")"
done
cp "$here/scripts/unpack-bundle.sh" "$bundle/unpack.sh"
(cd "$bundle" && find . -mindepth 1 ! -name SHA256SUMS -printf '%P\n' | sort | xargs -d '\n' sha256sum >SHA256SUMS)
tar --dereference --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$tmp" -cf "$out.part" "$name-bundle"
mv "$out.part" "$out"
(cd "$(dirname "$out")" && sha256sum "$(basename "$out")" >"$(basename "$out").sha256")
echo "$out is ready; $out.sha256 has its checksum, which is best carried another way" >&2
