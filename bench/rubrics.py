#!/usr/bin/env python3
"""The figures of bench/rubrics.sh: labels to measure by, lines of results, the table.

Usage: rubrics.py OUT.jsonl... > table.md    the table that docs/rubrics.md shows

bench/rubrics.sh calls the rest: rubrics.py labels, has and lines.
"""
import argparse
import hashlib
import json
import os
import sys


def read_lines(path):
    """The objects of a file of JSON lines, each with the place it stands at."""
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except ValueError as e:
                sys.exit(f"{path}:{number}: not a line of JSON: {e}")
            if not isinstance(found, dict):
                sys.exit(f"{path}:{number}: want an object a line")
            yield number, found


def balanced(labels, field, records, seed):
    """Some of the labels, half of them positive, in their order.

    The hash alone decides which, so fewer records are always among more.
    """
    def rank(item):
        text = f"{seed} {json.dumps(item[1], sort_keys=True)}"
        return hashlib.sha256(text.encode()).digest()

    positive = sorted((x for x in labels if x[1][field]), key=rank)
    negative = sorted((x for x in labels if not x[1][field]), key=rank)
    most = min(len(positive), len(negative))
    if records is not None:
        most = min(most, records // 2)
    return sorted(positive[:most] + negative[:most])


def choose_labels(args):
    labels = []
    for number, label in read_lines(args.labels):
        if label.get(args.field) not in (True, False, 0, 1):
            sys.exit(f"{args.labels}:{number}: {args.field}: want true or false, found {label.get(args.field)!r}")
        labels.append((number, label))
    if args.records != "0":
        records = None if args.records == "balanced" else int(args.records)
        if records is not None and args.half:
            records *= 2  # winnow evaluate takes one half of these
        labels = balanced(labels, args.field, records, args.seed)
    if not labels:
        sys.exit(f"{args.labels}: {args.field}: no labels of both kinds: nothing to measure by")
    for _, label in labels:
        print(json.dumps(label))


def run_of(args):
    """What tells one measurement from another beside group and label."""
    return {"model": os.path.basename(args.model), "records": args.records, "seed": args.seed, "half": args.half or None}


def has_line(args):
    want = {**run_of(args), "group": args.group, "label": args.field}
    found = any(all(line.get(k) == v for k, v in want.items()) for _, line in read_lines(args.out))
    sys.exit(0 if found else 1)


def off_scale(scores):
    """The mean off-scale mass by criterion over the rated records of a scores file."""
    sums, rated = {}, 0
    for _, entry in read_lines(scores):
        if entry.get("status") != "ok":
            continue
        rated += 1
        for name, one in entry.get("criteria", {None: entry}).items():
            sums[name] = sums.get(name, 0.0) + one["off_scale"]
    return {name: total / rated for name, total in sums.items()}


def variant_lines(args):
    with open(args.evaluation, encoding="utf-8") as f:
        found = json.load(f)
    names = found["judge"]["criteria"]
    readings = {r["name"]: r for r in found["labels"]["readings"]}
    mass = off_scale(args.scores)
    seconds = args.ns / 1e9 / args.graded if args.graded else None

    def line(variant, reading, off):
        auc = reading["auc"]
        return {
            **run_of(args), "group": args.group, "label": args.field, "variant": variant, "variants_in_pass": len(names),
            "n": reading["records"], "unrated": found["labels"]["labels"] - found["labels"]["rated"],
            "auc": auc["value"], "low": auc["low"], "high": auc["high"], "off_scale": off, "seconds_per_record": seconds,
        }

    for name in names:
        alone = len(names) == 1
        reading = readings["rating" if alone else f"criterion {name}"]
        print(json.dumps(line(name, reading, mass[None if alone else name])))
    if "response length" in readings:
        print(json.dumps(line("response length", readings["response length"], None)))


def table(paths):
    """A table for each model: a row a variant, a column a label, best first."""
    by_model = {}
    for path in paths:
        for _, line in read_lines(path):
            by_model.setdefault((line["model"], line["records"], line["seed"], line["half"]), []).append(line)
    for (model, records, seed, half), lines in by_model.items():
        labels = list(dict.fromkeys(x["label"] for x in lines))
        rows = {}
        for x in lines:  # the length's lines are the same in all groups
            group = "" if x["variant"] == "response length" else x["group"]
            rows.setdefault((group, x["variant"]), {})[x["label"]] = x
        part = {"balanced": "all positives and as many negatives", "0": "all labels"}.get(records, f"about {records} records, half of them positive")
        print(f"**{model}**, {part}, seed {seed}" + (f", half {half}" if half else "") + "\n")
        print("| variant | group | " + " | ".join(f"AUC, {x}" for x in labels) + " | off-scale | s a record of the pass |")
        print("| --- | --- |" + " --- |" * (len(labels) + 2))

        def best(row):
            auc = row[1].get(labels[0], {}).get("auc")
            return (auc is None, -(auc or 0), row[0])

        for (group, variant), row in sorted(rows.items(), key=best):
            one = next(iter(row.values()))
            cells = [variant, group]
            for label in labels:
                x = row.get(label)
                if x is None or x["auc"] is None:
                    cells.append("")
                elif x["low"] is None or x["high"] is None:
                    cells.append(f"{x['auc']:.3f} (n {x['n']})")
                else:
                    cells.append(f"{x['auc']:.3f} ({x['low']:.3f} to {x['high']:.3f}, n {x['n']})")
            cells.append("" if one["off_scale"] is None else f"{one['off_scale']:.3f}")
            shared = f" for {one['variants_in_pass']}" if one["variants_in_pass"] > 1 else ""
            time = one["seconds_per_record"] if group else None
            cells.append("" if time is None else f"{time:.3f}{shared}")
            print("| " + " | ".join(cells) + " |")
        print()


def parse(argv):
    p = argparse.ArgumentParser(prog="rubrics.py")
    commands = p.add_subparsers(required=True)

    def command(name, run, *positional):
        c = commands.add_parser(name)
        for x in positional:
            c.add_argument(x)
        c.add_argument("--records", default="balanced")
        c.add_argument("--seed", type=int, default=1)
        c.add_argument("--half", default="")
        c.set_defaults(run=run)
        return c

    command("labels", choose_labels, "labels", "field")
    command("has", has_line, "out", "group", "field").add_argument("--model", required=True)
    lines = command("lines", variant_lines, "evaluation", "scores", "group", "field")
    lines.add_argument("--model", required=True)
    lines.add_argument("--graded", type=int, required=True)
    lines.add_argument("--ns", type=int, required=True)
    return p.parse_args(argv)


def main(argv):
    if not argv or argv[0] in ("-h", "--help"):
        sys.exit(__doc__)
    if argv[0] in ("labels", "has", "lines"):
        args = parse(argv)
        if args.records != "balanced" and not args.records.isdecimal():
            sys.exit(f"--records {args.records}: want a number or balanced")
        args.run(args)
    else:
        table(argv)


if __name__ == "__main__":
    main(sys.argv[1:])
