#!/usr/bin/env python3
"""Append the lines of one run to OUT, with their agreement, and print the table.

Usage: table.py DIR OUT

DIR has N.line and N.json (ratings) of each program that ran, N from 1; 1 is
winnow. Agreement is with winnow's ratings of the same records: Spearman's rank
correlation and the mean absolute difference, null with fewer than 3 ratings.
"""
import json
import os
import sys


def ranks(values):
    """Ranks from 1, equal values sharing their mean rank."""
    return [sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2 for v in values]


def spearman(x, y):
    x, y = ranks(x), ranks(y)
    mean = (len(x) + 1) / 2
    cov = sum((a - mean) * (b - mean) for a, b in zip(x, y))
    spread = (sum((a - mean) ** 2 for a in x) * sum((b - mean) ** 2 for b in y)) ** 0.5
    return cov / spread if spread else None


def agreement(line, ratings, reference):
    pairs = [(r, w) for r, w in zip(ratings, reference) if r is not None]
    line["spearman"] = line["mean_abs_diff"] = None
    if len(pairs) >= 3:
        rho = spearman(*zip(*pairs))
        line["spearman"] = None if rho is None else round(rho, 4)
        line["mean_abs_diff"] = round(sum(abs(r - w) for r, w in pairs) / len(pairs), 4)


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def shown(value, form):
    return "-" if value is None else format(value, form)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: table.py DIR OUT")
    folder, out = sys.argv[1:]
    numbers = sorted(int(name[:-5]) for name in os.listdir(folder) if name.endswith(".line"))
    lines = [load(f"{folder}/{n}.line") for n in numbers]
    reference = load(f"{folder}/1.json")
    for n, line in zip(numbers, lines):
        agreement(line, load(f"{folder}/{n}.json"), reference)
    with open(out, "a", encoding="utf-8") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    own = [line["records_per_s"] for line in lines if (line["peer"], line["way"]) == ("winnow", "exact")]
    winnow = sum(own) / len(own)
    row = "{:<17} {:<9} {:<9} {:>9} {:>9} {:>8} {:>8} {:>6} {:>9} {:>6}  {}"
    print(row.format("peer", "version", "way", "records/s", "÷ winnow", "tok/rec", "rated", "mean", "Spearman", "|diff|", "notes"))
    for line in lines:
        print(row.format(
            line["peer"], line["version"][:9], line["way"], shown(line["records_per_s"], ".2f"),
            shown(line["records_per_s"] / winnow, ".2f"), shown(line["tokens_evaluated"] / line["records"], ".0f"),
            f"{line['parsed']}/{line['records']}", shown(line["mean_rating"], ".2f"), shown(line["spearman"], ".3f"),
            shown(line["mean_abs_diff"], ".3f"), line["notes"]))


if __name__ == "__main__":
    main()
