#!/usr/bin/env python3
"""How well ratings tell good example records from flawed ones.

Usage: separation.py RECORDS.json SCORES.jsonl

RECORDS is examples/records.json, whose field "flaw" is empty for a good record;
SCORES is its scores file. Prints the AUC: the probability that a good record is
rated above a flawed one, ties counting half. 0.5 is chance.
"""
import json
import sys

records_path, scores_path = sys.argv[1:]
with open(records_path, encoding="utf-8") as f:
    records = json.load(f)
rating = {}
with open(scores_path, encoding="utf-8") as f:
    for line in f:
        entry = json.loads(line)
        if entry.get("status") == "ok":
            rating[entry["index"]] = entry["rating"]
good = [rating[i] for i, r in enumerate(records) if i in rating and not r["flaw"]]
flawed = [rating[i] for i, r in enumerate(records) if i in rating and r["flaw"]]
if not good or not flawed:
    sys.exit("separation: the scores file has no ratings of both kinds")
wins = sum((g > b) + (g == b) / 2 for g in good for b in flawed)
print(f"AUC {wins / (len(good) * len(flawed)):.3f} over {len(good)} good and {len(flawed)} flawed records")
