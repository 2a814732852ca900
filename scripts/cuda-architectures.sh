#!/usr/bin/env bash
# Prints the architectures to compile for, as CMake writes them: those of this
# machine's GPUs, or, when it has none, those of the cards that people use.
set -euo pipefail
if found=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null) && [[ -n $found ]]; then
    tr -d '. ' <<<"$found" | sort -un | paste -sd ';'
else
    echo '80;86;89;90;120'
fi
