#!/usr/bin/env bash
# Prints how many CUDA files to compile at once: a core each, as far as there are
# 2 GB of memory each. JOBS overrides it.
set -euo pipefail
if [[ -n ${JOBS:-} ]]; then
    echo "$JOBS"
    exit
fi
jobs=$(nproc)
memory=$(awk '$1 == "MemAvailable:" { print int($2 / 2000000) }' /proc/meminfo 2>/dev/null || true)
limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || true) # a container's
for room in "$memory" "$([[ $limit =~ ^[0-9]+$ ]] && echo $((limit / 2000000000)))"; do
    if [[ -n $room ]] && ((room < jobs)); then
        jobs=$room
    fi
done
echo $((jobs > 0 ? jobs : 1))
