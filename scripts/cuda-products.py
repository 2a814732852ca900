#!/usr/bin/env python3
"""Checks the preprocessed backend.cu: every cublasGemmEx of ggml-cuda.cu became
winnow_gemm_ex, and those with sums in F16 multiply by 1 and add to nothing, which
winnow_gemm_ex takes for granted.

Usage: cuda-products.py PREPROCESSED
"""

import re
import sys

WRAPPER, WRAPPED, HALF = "winnow_gemm_ex", "cublasGemmEx", "CUBLAS_COMPUTE_16F"


def of_file(text, name):
    """Returns what comes from the file in a preprocessed text, without strings."""
    kept, inside = [], False
    for line in text.splitlines():
        mark = re.match(r'# \d+ "([^"]*)"', line)
        if mark:
            inside = mark.group(1).endswith("/" + name)
        elif inside:
            kept.append(re.sub(r'"(\\.|[^"\\])*"', '""', line))  # checks quote the call
    return "\n".join(kept)


def calls(text, name):
    """Yields the arguments of each call of the function."""
    for found in re.finditer(rf"\b{name}\s*\(", text):
        depth, end = 1, found.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield text[found.end():end - 1]


def flaws(text):
    """Returns what is wrong with the text of ggml-cuda.cu."""
    if re.search(rf"\b{WRAPPED}\b", text):
        yield f"ggml-cuda.cu still calls {WRAPPED} itself"
    half = [c for c in calls(text, WRAPPER) if HALF in c]
    if not half:
        yield f"no call of {WRAPPER} has {HALF}: nothing is chosen any more"
    for arguments in half:
        factors = [a.strip() for a in re.findall(r"&\s*(\w+)\s*,", arguments)]
        values = [re.findall(rf"const half {f}\s*=\s*([0-9.]+)f?;", text) for f in factors]
        if len(values) != 2 or {float(v) for v in values[0]} != {1} or {float(v) for v in values[1]} != {0}:
            yield f"a product in F16 has the factors {factors} = {values}, want 1 and 0: {' '.join(arguments.split())}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as f:
        found = list(flaws(of_file(f.read(), "ggml-cuda.cu")))
    for flaw in found:
        print(f"cuda-products: {flaw}; see llama/cuda/backend.cu", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
