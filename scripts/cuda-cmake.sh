#!/usr/bin/env bash
# Prints the path of a CMake that can configure the CUDA backend: the one on the
# PATH, or, if there is none or it is too old, one that pip puts into FOLDER.
# Usage: cuda-cmake.sh FOLDER
set -euo pipefail
folder=${1:?usage: cuda-cmake.sh FOLDER}
least=3.21

fits() { # CMAKE: it runs and is not older than $least
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's/^cmake version //p') && [[ -n $version ]] &&
        [[ $(printf '%s\n' "$least" "$version" | sort -V | sed -n 1p) == "$least" ]]
}

for cmake in "$(command -v cmake || true)" "$folder/cmake/data/bin/cmake"; do
    if [[ -n $cmake ]] && fits "$cmake"; then
        echo "$cmake"
        exit
    fi
done
echo "cuda-cmake: no cmake $least or newer here; fetching one into $folder" >&2
if "${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --only-binary=:all: --upgrade --target "$folder" cmake && fits "$cmake"; then
    echo "$cmake"
    exit
fi
echo "cuda-cmake: pip could not fetch cmake: install cmake $least or newer (pip install cmake, or the system's package)" >&2
exit 1
