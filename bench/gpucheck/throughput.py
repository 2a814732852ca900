"""The steps that measure speed: a matrix of settings, the best of them for longer, tuning."""

import json
import os

from shell import Stop, open_lines, read_lines

# Importance decides the order: time may run out.
WEIGHTS = ["Q8_0", "F16", "Q4_K_M"]
BATCHES = [2048, 4096, 1024, 512]


def cells(check, weights):
    """The cells of one model, as bench matrix takes them."""
    batches = [128, 64] if check.dry else BATCHES
    return [f"{b}/{kind}" if kind else str(b) for b in batches for kind in check.kernels(weights)]


def measure(check, shape, weights, wanted, path, flags, seconds=None):
    """Measures cells of one model; each is a line of the file as soon as it is known. Returns why not all are, or ""."""
    model, made = check.model(shape, weights)
    args = [check.winnow, "bench", "matrix", "-m", model, "--cells", ",".join(wanted), "--no-profile", "--price-kwh", str(check.price),
            *check.layers(), *flags]
    part = path + ".part"
    if os.path.exists(part):
        os.remove(part)
    r = check.run(args, min(seconds or check.left() - 5, check.left() - 5), out=part)
    with open_lines(path) as f:
        for line in read_lines(part):
            f.write(json.dumps({"shape": shape, "weights": weights, "random_weights": made, **line}).encode() + b"\n")
    os.remove(part)
    check.forget(model)
    if r.code == 0:
        return ""
    return "" if r.code is None and seconds is None else f"{shape} {weights}: {r.failure()}"


def matrix(check, shape):
    """All cells of a shape. Those that an earlier run measured are kept."""
    path = os.path.join(check.work("throughput"), f"{shape}.jsonl")
    flags = ["--contexts", "1" if check.dry else "2", "--seconds", "0.05" if check.dry else "0.8", "--records", "40" if check.dry else "8192",
             "--repeats", "1" if check.dry else "2"]
    bad = []
    for weights in WEIGHTS:
        have = {line["cell"] for line in read_lines(path) if line["weights"] == weights}
        wanted = [c for c in cells(check, weights) if c not in have]
        if wanted and check.left() > (5 if check.dry else 45):
            why = measure(check, shape, weights, wanted, path, flags)
            bad += [why] if why else []
    lines = read_lines(path)
    known = {(line["weights"], line["cell"]) for line in lines}
    missing = [f"{w} {c}" for w in WEIGHTS for c in cells(check, w) if (w, c) not in known]
    for line in lines:
        on_device(check, line)
    result = {"cells": lines, "missing": missing}
    if missing and not bad:
        return {**result, "status": "incomplete", "reason": f"{len(missing)} cells are not measured: {', '.join(missing[:6])}"}
    return {**result, "status": "failed" if bad or not lines else "passed", "reason": "; ".join(bad)}


def on_device(check, line):
    if not check.dry and line.get("device") == "CPU":
        raise Stop("the CPU computed what was to be the GPU's: winnow doctor says why")


def best(lines, weights=None):
    """The cell with the highest grading rate, of those that have one."""
    rated = [x for x in lines if "grading_tokens_per_s" in x and weights in (None, x["weights"])]
    return max(rated, key=lambda x: x["grading_tokens_per_s"], default=None)


def headline(check, shape):
    """The best cell of a shape, measured for longer: the figures that goals are held against.

    What a second context gains shows with the smallest model, whose batches are short.
    """
    done = check.result(f"throughput-{shape}")
    cell = best(done.get("cells", [])) if done else None
    if not cell:
        return {"status": "failed", "reason": f"throughput-{shape} has no figures to choose from: run it first, and remove the file of this step"}
    path = os.path.join(check.work("headline"), f"{shape}.jsonl")
    long = "0.1" if check.dry else "10"
    bad = []
    for contexts in ("2", "1") if shape == check.shapes[0] else ("2",):
        if contexts in {str(line["contexts"]) for line in read_lines(path) if "contexts" in line}:
            continue
        flags = ["--contexts", contexts, "--seconds", long, "--records", "40" if check.dry else "20000", "--repeats", "1" if check.dry else "3"]
        why = measure(check, shape, cell["weights"], [cell["cell"]], path, flags, seconds=check.left())
        bad += [why] if why else []
    lines = read_lines(path)
    for line in lines:
        on_device(check, line)
        if line.get("error"):
            bad.append(line["error"])
    found = best(lines)
    if not found:
        return {"status": "failed", "reason": "; ".join(bad) or "nothing was measured"}
    return {"status": "failed" if bad else "passed", "reason": "; ".join(bad), "best": found, "runs": lines}


def tune(check):
    """winnow bench --tune, as a user would run it."""
    model, _ = check.model(check.shapes[0], "Q8_0")
    r = check.run([check.winnow, "bench", "--tune", "-m", model, "--records", "2" if check.dry else "2048", "--json", *check.layers(),
                   *(["--lengths", "5,0"] if check.dry else [])], env={"XDG_CACHE_HOME": check.work("cache")})
    trials = [line.strip() for line in r.err.splitlines() if "records/s" in line]
    if r.code != 0:
        return {"status": "failed", "reason": r.failure(), "trials": trials}
    return {"profile": json.loads(r.out), "trials": trials}
