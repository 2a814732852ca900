#!/usr/bin/env python3
"""How far two scores files of the same records agree.

Usage: agreement.py A.jsonl B.jsonl [KEPT_SHARE]

Prints a line of JSON: the judges by their manifests, Spearman's rank correlation
of the ratings, and the overlap of the kept sets when the best KEPT_SHARE (0.2) of
the records is kept by each: the share of A's kept records that B keeps too. By
chance it would be KEPT_SHARE.
"""
import json
import sys


def read(path):
    """The manifest and the ratings by key."""
    with open(path, encoding="utf-8") as f:
        manifest, *entries = (json.loads(line) for line in f)
    return manifest, {e["key"]: e["rating"] for e in entries if e["status"] == "ok"}


def judge(manifest):
    return {"model": manifest["model"]["name"], "rubrics": [r["name"] for r in manifest["rubrics"]]}


def ranks(values):
    """Ranks from 1, equal values sharing their mean rank."""
    order = sorted(range(len(values)), key=values.__getitem__)
    out = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for i in order[start:end]:
            out[i] = (start + 1 + end) / 2
        start = end
    return out


def pearson(x, y):
    mx, my = sum(x) / len(x), sum(y) / len(y)
    cov = sum((a - mx) * (b - my) for a, b in zip(x, y))
    return cov / (sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y)) ** 0.5


def kept(scores, n):
    return set(sorted(scores, key=lambda k: (-scores[k], k))[:n])


(manifest_a, a), (manifest_b, b) = read(sys.argv[1]), read(sys.argv[2])
share = float(sys.argv[3]) if len(sys.argv) > 3 else 0.2
keys = sorted(a.keys() & b.keys())
if len(keys) < 3:
    sys.exit("agreement: fewer than 3 records are rated in both files")
rho = pearson(ranks([a[k] for k in keys]), ranks([b[k] for k in keys]))
n = round(share * len(keys))
overlap = len(kept({k: a[k] for k in keys}, n) & kept({k: b[k] for k in keys}, n)) / n
print(json.dumps({
    "kind": "agreement", "a": judge(manifest_a), "b": judge(manifest_b), "records": len(keys),
    "spearman": round(rho, 4), "kept_share": share, "overlap": round(overlap, 4),
}))
