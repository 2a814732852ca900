"""Puts all steps into one file and holds the figures against the goals."""

import json
import os
import re
import time

from shell import write_json

SCHEMA = 1  # of the file; bench/results/README.md describes it

# Shape, least share of the raw rate that grading reaches.
EFFICIENCY = {"qwen2.5-0.5b": 0.80, "qwen2.5-7b": 0.95, "llama-3.1-8b": 0.95}
TOKENS_8B = 25_000  # a second, on an H100
ALPACA_7B = 360.0  # seconds for 52,002 records
# Operation, shape, what is measured, the goal.
KERNELS = [
    ("kcenter", {"rows": 52_000, "columns": 768, "picks": 9_000}, "median_s", 1.0),
    ("cosine", {"rows": 100_000, "columns": 384, "against": 0}, "median_s", 0.1),
    ("logprob", {}, "bytes_share", 0.70),
]


def goal(name, want, got, holds):
    """A goal; holds is None where there is no figure."""
    return {"goal": name, "want": want, "got": got, "met": None if got is None else bool(holds)}


def goals(results):
    """The goals of the GPU work against the steps' figures."""
    def head(shape):
        return ((results.get(f"headline-{shape}") or {}).get("best")) or {}

    found = []
    for shape, least in EFFICIENCY.items():
        got = head(shape).get("efficiency")
        found.append(goal(f"{shape}: grading ÷ raw", f">= {least}", got, got is not None and got >= least))
    got = head("llama-3.1-8b").get("grading_tokens_per_s")
    found.append(goal("llama-3.1-8b: tokens/s of grading", f">= {TOKENS_8B}, on an H100", got, got is not None and got >= TOKENS_8B))
    got = head("qwen2.5-7b").get("alpaca_52k_s")
    found.append(goal("qwen2.5-7b: seconds for 52,002 Alpaca records", f"< {ALPACA_7B:.0f}", got, got is not None and got < ALPACA_7B))
    compared = [c for name, r in results.items() if name.startswith("ratings-") for c in (r or {}).get("comparisons", [])]
    for c in compared:
        what = f"{c['model']}, {c.get('matmul') or 'default'}"
        off = c.get("p99")
        stray = sum(x["stray"] for x in c["cuts"]) if "cuts" in c else None
        found.append(goal(f"CPU and GPU, {what}: p99 of |Δ rating|", "<= 0.02", off, off is not None and off <= 0.02))
        found.append(goal(f"CPU and GPU, {what}: records on other sides of a cut, farther than 0.02 from it", "0", stray, stray == 0))
    if not compared:
        found.append(goal("CPU and GPU: p99 of |Δ rating|", "<= 0.02", None, None))
    runs = (results.get("repeat") or {}).get("runs")
    same = all(r["same_bytes"] for r in runs) if runs else None
    found.append(goal("same input, same bits, run to run", "true", same, same))
    return found + kernel_goals(results)


def kernel_goals(results):
    """The goals of the kernels. Of several forms and cases the best counts; times include copies to and from the card."""
    lines = (results.get("kernels") or {}).get("lines", [])
    found = []
    for op, shape, figure, want in KERNELS:
        got = [x[figure] for x in lines if x.get("op") == op and x.get("device") and not x.get("part") and figure in x and all(x["shape"].get(k) == v for k, v in shape.items())]
        what = " × ".join(str(v) for v in shape.values() if v)
        if figure == "median_s":
            best = min(got, default=None)
            found.append(goal(f"{op} {what}: seconds on the GPU", f"<= {want}", best, best is not None and best <= want))
        else:
            best = max(got, default=None)
            found.append(goal(f"{op}: share of the memory's bandwidth", f">= {want}", best, best is not None and best >= want))
    return found


def weighed(results):
    """The headline figures in few words, for a table."""
    rows = []
    for name, r in results.items():
        b = (r or {}).get("best")
        if not name.startswith("headline-") or not b:
            continue
        rows.append({k: b.get(k) for k in ("shape", "weights", "random_weights", "matmul", "batch_tokens", "contexts", "raw_tokens_per_s", "grading_tokens_per_s", "efficiency", "records_per_s", "alpaca_52k_s",
                                           "device_memory_bytes", "joules_per_record", "energy_cost_per_million_records", "no_energy")})
    return rows


def write(check, names):
    """Writes the report and returns its path: OUT/gpu-NAME.json, of a dry run OUT/dry-NAME.json."""
    results = {name: check.result(name) for name in names}
    machine = results.get("machine") or {}
    gpus = machine.get("gpus") or []
    device = gpus[0]["name"] if gpus and not check.dry else machine.get("cpu", "unknown")
    try:
        with open(os.path.join(check.bundle, "bundle.json")) as f:
            bundle = json.load(f)
    except FileNotFoundError:
        bundle = None
    name = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    path = os.path.join(check.out, f"{'dry' if check.dry else 'gpu'}-{name}.json")
    held = goals(results)
    if check.dry:  # what a CPU does says nothing of them
        for g in held:
            g["met"] = None
    write_json(path, {
        "schema": SCHEMA, "device": device, "dry": check.dry, "date": time.strftime("%Y-%m-%d", time.gmtime()), "bundle": bundle,
        "price_per_kwh": check.price, "goals": held, "headlines": weighed(results),
        "missing": [n for n, r in results.items() if not r or r["status"] in ("incomplete", "failed")], "steps": results,
    })
    return path
