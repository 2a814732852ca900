#!/usr/bin/env bash
# Runs the fault tests in their long form and prints what they counted. Started by
# `make soak`, which sets what the packages with C++ need.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ -z ${CGO_CPPFLAGS:-} ]]; then
    echo "soak: start this through make soak, which sets the flags for the C++ engine" >&2
    exit 2
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
start=$SECONDS
failed=0
SOAK=1 go test -v -count=1 -timeout 6h -run "${RUN:-^TestSoak}" "$@" ./... >"$log" 2>&1 || failed=1
if [[ $failed -ne 0 ]]; then
    cat "$log" >&2
fi
echo "what was counted:"
sed -n 's/^.*soak: /  /p' "$log"
if ! grep -q 'soak: ' "$log"; then
    echo "soak: no test counted anything" >&2
    failed=1
fi
echo "soak: $([[ $failed -eq 0 ]] && echo passed || echo failed) after $(((SECONDS - start) / 60)) minutes"
exit "$failed"
