#!/usr/bin/env bash
# Packs a bundle, unpacks it elsewhere without a network, grades with it, and sees
# that damaged ones are refused. `make try-bundle` starts it.
# Usage: try-bundle.sh WINNOW MODEL.gguf
set -euo pipefail
usage='usage: try-bundle.sh WINNOW MODEL.gguf'
winnow=${1:?$usage} model=${2:?$usage}
cd "$(dirname "$0")/.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

fail() {
    echo "try-bundle: $*" >&2
    exit 1
}
# A namespace without network interfaces; where the system does not let us make
# one, the trial says so and goes on with the network that there is.
apart=()
for try in 'unshare -n' 'unshare -rn'; do
    if $try true 2>/dev/null; then
        read -ra apart <<<"$try"
        break
    fi
done
[[ ${#apart[@]} -gt 0 ]] || echo 'try-bundle: unshare is not allowed here: the network stays on' >&2

scripts/bundle.sh "$winnow" try "$tmp/first.tar" "$model"
scripts/bundle.sh "$winnow" try "$tmp/second.tar" "$model"
cmp "$tmp/first.tar" "$tmp/second.tar" || fail 'the same inputs gave two bundles'
tar -xf "$tmp/first.tar" -C "$tmp"
bundle=$tmp/winnow-try-linux-x86_64-bundle

# What is damaged, missing or added is refused, and nothing is unpacked.
refused() { # WHAT
    if "$bundle/unpack.sh" "$tmp/refused" >"$tmp/log" 2>&1; then
        fail "a bundle with $1 was accepted"
    fi
    [[ -z $(ls -A "$tmp/refused") ]] || fail "a bundle with $1 was unpacked"
}
archive=$bundle/winnow-try-linux-x86_64.tar.xz
cp "$archive" "$tmp/kept"
printf 'x' | dd of="$archive" bs=1 seek=1000 conv=notrunc status=none
refused 'a changed byte'
rm "$archive"
refused 'a missing file'
mv "$tmp/kept" "$archive"
echo >"$bundle/more"
refused 'a file that nobody packed'
rm "$bundle/more"

program=$(env -i PATH=/usr/bin:/bin HOME="$tmp" "${apart[@]}" "$bundle/unpack.sh" "$tmp/room" | tail -1)
[[ -x $program ]] || fail "unpack.sh names $program, which is no program"
cd "$tmp"
env -i PATH=/usr/bin:/bin HOME="$tmp" "${apart[@]}" "$program" filter "$(dirname "$program")/../share/examples/records.json" \
    -m "$bundle/$(basename "$model")" --limit 8 --top-percent 50 -o kept.json || [[ $? -eq 3 ]] || fail 'the program did not grade'
[[ -s kept.json ]] || fail 'nothing was kept'
echo "try-bundle: packed, refused when damaged, unpacked and run ${apart[*]:-with the network on}: ok" >&2
