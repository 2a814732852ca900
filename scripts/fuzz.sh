#!/usr/bin/env bash
# Runs every fuzz target for a while, one after the other. `make fuzz` starts it.
# Usage: fuzz.sh DURATION, such as 30s
set -euo pipefail
duration=${1:?usage: fuzz.sh DURATION, such as 30s}
cd "$(dirname "$0")/.."

ran=0
while IFS=: read -r file target; do
    echo "== $(dirname "$file") $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$(dirname "$file")" </dev/null
    ran=$((ran + 1))
done < <(grep -r --include='*_test.go' -o '^func Fuzz[A-Za-z0-9_]*(f \*testing\.F)' . |
    sed 's/:func /:/; s/(.*//' | sort)

if [[ $ran -eq 0 ]]; then
    echo "fuzz: found no fuzz target" >&2
    exit 1
fi
echo "fuzz: $ran targets, no failure"
