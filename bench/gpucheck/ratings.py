"""The steps that compare ratings: CPU with GPU, and the GPU with itself."""

import json
import os
import statistics

from shell import Stop

CUT = 4.5  # the rating from which a record is kept
NEAR = 0.02  # what a rating may differ by, and how near the cut a record may change sides


def read_journal(path):
    """Returns the device that rated and each record's rating."""
    device, rated = "", {}
    with open(path) as f:
        for number, line in enumerate(f):
            if not line.endswith("\n"):
                break  # the run was stopped while it wrote
            entry = json.loads(line)
            if number == 0:
                device = json.dumps(entry).partition('"device": "')[2].partition('"')[0]
            elif "rating" in entry:
                rated[entry["key"]] = entry["rating"]
    return device, rated


def quantile(sorted_values, share):
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def kept(ratings, cut):
    return {key for key, rating in ratings.items() if rating >= cut}


def compare(want, got):
    """Differences of two sets of ratings over the records that both have.

    The records that only one of them keeps are counted at the cut of 4.5, and at the
    median of want, where half of the records are on each side. "stray" are those
    farther than NEAR from the cut: there must be none.
    """
    both = sorted(set(want) & set(got))
    if not both:
        raise Stop("no record has a rating from both devices")
    want, got = {k: want[k] for k in both}, {k: got[k] for k in both}
    off = sorted(abs(want[k] - got[k]) for k in both)
    found = {"records": len(both), "identical": sum(d == 0 for d in off), "p50": quantile(off, 0.5), "p99": quantile(off, 0.99), "max": off[-1],
             "spread": statistics.pstdev(want.values()), "cuts": []}
    for cut in (CUT, statistics.median(want.values())):
        sides = kept(want, cut) ^ kept(got, cut)
        stray = [k for k in sides if abs(want[k] - cut) > NEAR]
        found["cuts"].append({"cut": cut, "kept": len(kept(want, cut)), "changed": len(sides), "stray": len(stray)})
    found["holds"] = found["p99"] <= NEAR and not any(c["stray"] for c in found["cuts"])
    return found


def grade(check, model, records, path, flags=(), matmul=None, seconds=None):
    """Rates records with the program; what a run left behind is gone on with."""
    args = [check.winnow, "grade", records, "-m", model, "-o", path, "--no-profile", "--max-off-scale", "1", *flags]
    return check.run(args + (["--gpu-kernels", matmul] if matmul else []), seconds)


def on_gpu(check, device):
    """A GPU's ratings must come from one."""
    if not check.dry and (device == "CPU" or not device):
        raise Stop(f"ratings that were to be the GPU's are by {device or 'nobody'}: winnow doctor says why")


def against_cpu(check, name, model, records, cpu_seconds, weights):
    """Rates with one model on the CPU, as many records as the time allows, and on the device with each kind of products."""
    work = check.work("ratings")
    reference = os.path.join(work, f"{name}-cpu.jsonl")
    r = grade(check, model, records, reference, ["-ngl", "0", "-ub", "512"], seconds=cpu_seconds)
    if r.code not in (0, 3, None):
        raise Stop(r.failure())
    _, want = read_journal(reference)
    if len(want) < 16:
        raise Stop(f"the CPU rated {len(want)} records with {name} in {r.seconds:.0f} s: want 16 or more")
    results = []
    for kind in check.kernels(weights):
        path = os.path.join(work, f"{name}-{kind or 'device'}.jsonl")
        g = grade(check, model, records, path, check.layers(), matmul=kind)
        if g.code not in (0, 3):
            results.append({"model": name, "matmul": kind, "error": g.failure()})
            continue
        device, got = read_journal(path)
        on_gpu(check, device)
        results.append({"model": name, "matmul": kind, "device": device, "cpu_seconds": round(r.seconds, 1), **compare(want, got)})
    return results


def verdict(results):
    bad = [f"{r['model']} {r['matmul'] or ''}: " + (r.get("error") or f"p99 |Δ| {r['p99']:.3g}, changed sides far from a cut: {sum(c['stray'] for c in r['cuts'])}")
           for r in results if not r.get("holds")]
    return {"status": "failed" if bad else "passed", "reason": "; ".join(bad), "comparisons": results}


def ratings(check, shape):
    """The same model and records on the CPU and on the GPU, weights made by rule."""
    small = shape == check.shapes[0]
    records = check.records(24 if check.dry else 512 if small else 64)
    results = []
    for weights in ("Q4_K_M", "Q8_0", "F16") if small else ("Q4_K_M",):
        model, _ = check.model(shape, weights)
        results += against_cpu(check, f"{shape}-{weights}", model, records, 90 if small else 240, weights)
        check.forget(model)
    return verdict(results)


def real(check):
    """The same with a trained model, if there is one: its ratings are no noise."""
    if not check.real:
        return {"status": "absent", "reason": "WINNOW_GPU_CHECK_MODEL names no model"}
    if not os.path.exists(check.real):
        return {"status": "failed", "reason": f"WINNOW_GPU_CHECK_MODEL: there is no {check.real}"}
    name = os.path.basename(check.real)
    results = against_cpu(check, name + "-examples", check.real, os.path.join(check.bundle, "examples", "records.json"), 60, "Q4_0")
    results += against_cpu(check, name + "-synthetic", check.real, check.records(24 if check.dry else 1024), 150, "Q4_0")
    return verdict(results)


def repeat(check):
    """The same records twice: the files must be equal. Other batches: how far ratings move is told."""
    model, _ = check.model(check.shapes[0], "Q8_0")
    records, work = check.records(24 if check.dry else 512), check.work("repeat")
    runs, bad = [], []
    for kind in check.kernels("Q8_0"):
        paths = [os.path.join(work, f"{kind or 'device'}-{part}.jsonl") for part in ("a", "b", "other")]
        for path, batch in zip(paths, ("1024", "1024", "512")):
            if os.path.exists(path):
                os.remove(path)
            g = grade(check, model, records, path, [*check.layers(), "-ub", batch], matmul=kind)
            if g.code not in (0, 3):
                raise Stop(g.failure())
        device, first = read_journal(paths[0])
        on_gpu(check, device)
        with open(paths[0], "rb") as a, open(paths[1], "rb") as b:
            same = a.read() == b.read()
        runs.append({"matmul": kind, "device": device, "same_bytes": same, "other_batch": compare(first, read_journal(paths[2])[1])})
        if not same:
            bad.append(f"{kind or device}: the second run gave other bytes")
    return {"status": "failed" if bad else "passed", "reason": "; ".join(bad), "runs": runs}
