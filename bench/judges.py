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


def figure(e):
    """An estimate with its interval."""
    if not e or e["value"] is None:
        return "–"
    if e["low"] is None:
        return f"{e['value']:.2f}"
    return f"{e['value']:.2f} [{e['low']:.2f}, {e['high']:.2f}]"


def reading(report, name):
    return next((r for r in report["readings"] if r["name"] == name), {})


def rows(head, body):
    if not body:
        return
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in body:
        print("| " + " | ".join(str(x) for x in row) + " |")
    print()


def labels_table(found):
    names = ["rating", "criterion accuracy", "criterion helpfulness", "response length", "nll", "ifd", "ifd_ppl"]
    body = []
    for x in found:
        r = x["result"]["labels"]
        within = next((b["within"] for b in r["bands"]["readings"] if b["name"] == "rating"), None)
        body.append([x["model"], x["label"], r["rated"], r["kept"], *(figure(reading(r, n).get("auc")) for n in names), figure(within)])
    rows(["model", "label", "records", "kept", *names, "rating, within lengths"], body)


def calibration_table(found):
    """Means over seeds, each of which holds out another half; the range in brackets."""
    groups = {}
    for x in found:
        groups.setdefault((x["model"], x["label"]), []).append(x["result"])
    body = []
    for (model, label), results in groups.items():
        methods = {}
        for r in results:
            for m in r["evidence"]["methods"]:
                methods.setdefault(m["method"], []).append(m)
        train = round(sum(r["evidence"]["train"]["records"] for r in results) / len(results))
        for name, ms in methods.items():
            values = [[m[k]["value"] for m in ms] for k in ("auc", "auc_within_length")]
            text = [f"{sum(v) / len(v):.3f} ({min(v):.3f}–{max(v):.3f})" for v in values]
            chosen = sum(r["method"] == name for r in results)
            accepted = sum(r["method"] == name and r["accepted"] for r in results)
            body.append([model, label, train, name, *text, f"{chosen}, {accepted}" if chosen else ""])
    rows(["model", "label", "learned on", "method", "AUC held out", "within lengths", "times chosen, accepted"], body)


def pairs_table(found):
    body = []
    for x in found:
        r = x["result"]["pairs"]
        way = "both shown" if r["pairwise"] else "each alone"
        o = r["orders"] or {}
        for q in r["readings"]:
            own = q is r["readings"][0]
            body.append([x["model"], x["rubric"], way, q["name"], r["rated"], figure(q["accuracy"]), figure(q["tie_rate"]),
                         *(figure(o.get(k)) if own else "" for k in ("first", "second", "consistent", "first_place"))])
    rows(["model", "rubric", "responses", "by", "pairs", "accuracy", "ties", "first order", "second order", "consistent", "for the first place"], body)


def audit_table(found):
    body = []
    for x in found:
        r = x["result"]
        for c in r["canaries"]:
            body.append([x["model"], x["rubric"], c["name"], c["records"], figure(c["median"]), f"{c['p90']:.2f}" if c["p90"] is not None else "–", c["verdict"]])
    rows(["model", "rubric", "variant", "records", "median change", "p90", "verdict"], body)
    rows(["model", "rubric", "true against exchanged, AUC", "rank correlation with length", "mean off-scale mass"],
         [[x["model"], x["rubric"], figure(x["result"]["shuffled"]["auc"]), figure(x["result"]["length"]["spearman_chars"]), f"{x['result']['spread']['mean_off_scale']:.2f}"] for x in found])


def table(paths):
    found = [line for path in paths for line in lines(path)]
    for what, show in [("labels", labels_table), ("calibration", calibration_table), ("pairs", pairs_table), ("audit", audit_table)]:
        show([x for x in found if x["what"] == what])


def main():
    match sys.argv[1:]:
        case ["has", path, *words]:
            sys.exit(0 if has(path, words) else 1)
        case ["add", path, result, *words]:
            add(path, result, words)
        case [first, *rest] if first not in ("has", "add"):
            table([first, *rest])
        case _:
            sys.exit(__doc__)


main()
