#!/usr/bin/env bash
# Checks the form of all Go code: gofmt, vet, staticcheck, errcheck. Started by
# `make lint`, which sets what the packages with C++ need.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ -z ${CGO_CPPFLAGS:-} ]]; then
    echo "lint: start this through make lint, which sets the flags for the C++ engine" >&2
    exit 2
fi

failed=0
check() { # NAME COMMAND...: runs the command and remembers whether it failed
    local name=$1
    shift
    if "$@"; then
        echo "lint: $name: ok"
    else
        echo "lint: $name: failed" >&2
        failed=1
    fi
}

check gofmt test -z "$(gofmt -l . | tee -a /dev/stderr)"
check vet go vet ./...
check staticcheck go tool staticcheck ./...
check errcheck go tool errcheck -exclude scripts/errcheck-exclude.txt ./...
exit "$failed"
