#!/bin/sh
# Checks that every file of this bundle is as it was packed, unpacks the program
# and has it look at the machine. Nothing is fetched, nothing outside FOLDER is
# written. It needs tar, xz and sha256sum.
# Usage: unpack.sh FOLDER
set -eu
if [ $# -ne 1 ]; then
    echo "usage: unpack.sh FOLDER" >&2
    exit 2
fi
mkdir -p "$1"
to=$(cd "$1" && pwd)
cd "$(dirname "$0")"

if ! sha256sum --check --strict SHA256SUMS >&2; then
    echo "unpack: this bundle is not what was packed: carry it over again. Nothing was unpacked." >&2
    exit 1
fi
extra=$(for f in *; do
    [ "$f" = SHA256SUMS ] || cut -c67- SHA256SUMS | grep -qxF -- "$f" || echo "$f"
done)
if [ -n "$extra" ]; then
    echo "unpack: not of the bundle: $extra. Nothing was unpacked." >&2
    exit 1
fi
for archive in winnow-*.tar.xz; do
    xz -dc "$archive" | tar -xf - -C "$to"
    program=$to/${archive%.tar.xz}
done
"$program/bin/winnow" doctor >&2 || {
    echo "unpack: the program is unpacked in $program, but does not work here; see above" >&2
    exit 1
}
echo "$program/bin/winnow"
