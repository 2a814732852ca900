#!/usr/bin/env python3
"""The lines of bench/judges.sh, and a table of them.

Usage: judges.py OUT.jsonl... > table.md

bench/judges.sh calls the rest: judges.py has OUT KEY=VALUE..., judges.py add OUT RESULT KEY=VALUE...
A line has the keys and, in "result", what the command printed; of its "path" members the
names alone, since folders are those of a machine.
"""
import json
import os
import sys


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def keys(words):
    return dict(w.split("=", 1) for w in words)


def named(x):
    """x with files as names without folders."""
    if isinstance(x, dict):
        return {k: named(v) for k, v in x.items()}
    if isinstance(x, list):
        return [named(v) for v in x]
    if isinstance(x, str) and os.path.isabs(x):
        return os.path.basename(x)
    return x


def has(path, words):
    want = keys(words)
    return any(all(line.get(k) == v for k, v in want.items()) for line in lines(path))


def add(path, result, words):
    with open(result, encoding="utf-8") as f:
        found = json.loads(f.read())
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps({**keys(words), "result": named(found)}, ensure_ascii=False) + "\n")


def main():
    match sys.argv[1:]:
        case ["has", path, *words]:
            sys.exit(0 if has(path, words) else 1)
        case ["add", path, result, *words]:
            add(path, result, words)
        case _:
            sys.exit(__doc__)


main()
