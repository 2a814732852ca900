#!/usr/bin/env python3
"""Write the job that winnow and every peer get: the same texts in the same order.

Usage: job.py WINNOW DATA RECORDS DIR

DIR/records.json has the first RECORDS records of DATA that every program can
take (a response that is not blank, at most 6,000 characters in all, no record
twice), for winnow. DIR/job.json has {"system": text, "users": [text, ...]}, the
chat messages of the same records in the words of the rubric alpagasus-accuracy.
"""
import json
import re
import subprocess
import sys
import tomllib

RUBRIC = "alpagasus-accuracy"
MAX_CHARACTERS = 6000


def read_records(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def usable(records):
    seen = set()
    for number, r in enumerate(records):
        texts = tuple(r.get(key) or "" for key in ("instruction", "input", "output"))
        if not all(isinstance(t, str) for t in texts):
            sys.exit(f"job: record {number} has a text that is no string; want instruction, input, output")
        instruction, _, response = texts
        if instruction.strip() and response.strip() and sum(map(len, texts)) <= MAX_CHARACTERS and texts not in seen:
            seen.add(texts)
            yield dict(zip(("instruction", "input", "output"), texts))


def fill(template, record):
    values = {"{instruction}": record["instruction"], "{input}": record["input"], "{response}": record["output"],
              "{{": "{", "}}": "}"}
    return re.sub(r"\{instruction\}|\{input\}|\{response\}|\{\{|\}\}", lambda m: values[m.group()], template)


def main():
    if len(sys.argv) != 5:
        sys.exit("usage: job.py WINNOW DATA RECORDS DIR")
    winnow, data, wanted, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    shown = subprocess.run([winnow, "rubrics", "show", RUBRIC], check=True, capture_output=True, text=True)
    rubric = tomllib.loads(shown.stdout)
    if rubric["cue"]:
        sys.exit(f"job: {RUBRIC} has the cue {rubric['cue']!r}; the peers' programs expect none")
    records = list(usable(read_records(data)))[:wanted]
    if len(records) < wanted:
        sys.exit(f"job: {data} has only {len(records)} usable records, {wanted} are asked for: ask for fewer")
    with open(f"{folder}/records.json", "w", encoding="utf-8") as f:
        json.dump(records, f, ensure_ascii=False, indent=1)
    with open(f"{folder}/job.json", "w", encoding="utf-8") as f:
        json.dump({"system": rubric["system"], "users": [fill(rubric["user"], r) for r in records]}, f, ensure_ascii=False)


if __name__ == "__main__":
    main()
