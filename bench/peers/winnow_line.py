#!/usr/bin/env python3
"""Measure winnow on the peers' job and print a line in the peers' form.

Usage: winnow_line.py WINNOW MODEL DIR REPEATS RATINGS WAY NOTES [FLAG...]

DIR has job.py's records.json; winnow's scores of them are written beside it. RATINGS gets
what a peer that reads the first token would see: the expected first digit of
winnow's distribution, where "4" and "4.5" both count as 4. The flags go to `winnow bench`: settings and rubric.
"""
import json
import os
import statistics
import subprocess
import sys

import measure


def main():
    if len(sys.argv) < 8:
        sys.exit("usage: winnow_line.py WINNOW MODEL DIR REPEATS RATINGS WAY NOTES [FLAG...]")
    winnow, model, folder, repeats, ratings, way, notes, *flags = sys.argv[1:]
    data, scores = f"{folder}/records.json", f"{folder}/{way}.jsonl"
    if not os.path.exists(scores):
        subprocess.run([winnow, "grade", data, "-m", model, "--no-profile",
                        "--max-off-scale", "1", "-o", scores, *flags], check=True)
    with open(scores, encoding="utf-8") as f:
        entries = sorted((e for e in map(json.loads, f) if "index" in e), key=lambda e: e["index"])
    faults = [f"{e['index']} {e['status']}" for e in entries if "rating" not in e]
    if faults:
        sys.exit(f"winnow_line: records without a rating: {', '.join(faults)}; leave them out of the data")
    digits = [measure.expected([sum(p for s, p in e["probs"].items() if s[0] == d) for d in measure.DIGITS]) for e in entries]
    with open(ratings, "w", encoding="utf-8") as f:
        json.dump(digits, f)
    out = subprocess.run([winnow, "bench", "-m", model, "--no-profile", "--data", data,
                          "--records", str(len(entries)), "--repeats", repeats, "--json", *flags], check=True, capture_output=True, text=True)
    b = json.loads(out.stdout)
    print(json.dumps({
        "peer": "winnow", "version": b["winnow"], "way": way, "model": os.path.basename(model), "records": b["records"],
        "threads": b["threads"] * b["contexts"], "seconds": round(b["records"] / b["records_per_s"], 3),
        "records_per_s": round(b["records_per_s"], 4), "tokens_evaluated": b["tokens"], "parsed": len(entries),
        "mean_rating": round(statistics.mean(e["rating"] for e in entries), 4), "notes": f"{notes}; {b['machine']}"}))


if __name__ == "__main__":
    main()
