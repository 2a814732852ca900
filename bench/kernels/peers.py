#!/usr/bin/env python3
"""Measures on this machine what other libraries need for the cases of package kernels.

usage: peers.py --data DIR --results FILE [--threads N] [--repeats N] [--limit SECONDS] [--op NAME]

DIR is what `bench-kernels -dump DIR` wrote: data and results. FILE is the JSON lines that the
same run wrote; each peer appends a line to it, with how many times as long as winnow's fast form
with the same number of threads it takes. A peer's result is compared with winnow's; the program
fails if one differs. requirements.txt has the versions.
"""
import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
args.add_argument("--data", required=True)
args.add_argument("--results", required=True)
args.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
args.add_argument("--repeats", type=int, default=3)
args.add_argument("--limit", type=float, default=8, help="begin no further repeat of a form after so many seconds")
args.add_argument("--op", help="only this operation")
args = args.parse_args()
if args.threads < 1 or args.repeats < 1:
    sys.exit("peers: want at least 1 thread and 1 repeat")
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(args.threads)  # before the libraries are loaded

import datasketch  # noqa: E402
import faiss  # noqa: E402
import numpy as np  # noqa: E402
import scipy  # noqa: E402
import scipy.special  # noqa: E402
import sklearn  # noqa: E402
import sklearn.metrics.pairwise  # noqa: E402

faiss.omp_set_num_threads(args.threads)


class Case:
    """One line of cases.jsonl with its arrays."""

    def __init__(self, line):
        self.op, self.name, self.shape, self.parameters = line["op"], line["case"], line["shape"], line["parameters"]
        self.files = line["files"]

    def array(self, name):
        return np.load(os.path.join(args.data, self.files[name]))


class Results:
    """The results file: winnow's lines are read, peers' are appended."""

    def __init__(self, path):
        self.path, self.ours, self.failed = path, {}, 0
        with open(path, encoding="utf-8") as f:
            for line in map(json.loads, f):
                if line["kind"] == "kernel" and line["form"] == "fast":
                    self.ours[line["op"], line["case"], line["threads"]] = line["best_s"]

    def add(self, case, peer, version, form, threads, run, check, part=1.0, note=""):
        """Times run, which returns what check accepts or refuses by an AssertionError."""
        begin = time.perf_counter()
        got = run()
        first = time.perf_counter() - begin
        # The first run warms up, unless it is so long that it counts.
        times, runs, start = [first] if first > 1 else [], max(1, int(0.03 / max(first, 1e-6))), time.monotonic()
        while not times or len(times) < args.repeats and time.monotonic() - start + first < args.limit:
            begin = time.perf_counter()
            for _ in range(runs):
                got = run()
            times.append((time.perf_counter() - begin) / runs)
        times.sort()
        line = {
            "kind": "peer", "op": case.op, "case": case.name, "shape": case.shape, "peer": peer, "version": version, "form": form,
            "threads": threads, "repeats": len(times), "runs_per_repeat": runs, "best_s": times[0], "median_s": times[len(times) // 2],
        }
        whole = times[0]
        if part != 1:
            whole = times[0] / part
            line.update(part=part, scaled_s=whole)
        ours = self.ours.get((case.op, case.name, threads))
        if ours:
            line.update(winnow_s=ours, times_winnow=round(whole / ours, 3))
        try:
            line["check"] = check(got)
        except AssertionError as e:
            line["check"] = f"failed: {e}"
            self.failed += 1
        if note:
            line["note"] = note
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(json.dumps(line) + "\n")
        times_ours = f"{whole / ours:8.2f} × winnow" if ours else ""
        print(f"{whole:9.3f} s {times_ours}  {case.op}: {peer} {form}, {threads} threads ({line['check']})", flush=True)


def in_parts(n, f):
    """Calls f for as many equal parts of 0..n as there are threads; NumPy works outside the interpreter's lock."""
    cuts = [n * i // args.threads for i in range(args.threads + 1)]
    with ThreadPoolExecutor(args.threads) as pool:
        list(pool.map(f, cuts[:-1], cuts[1:]))


def minhash(case, results):
    values, offsets, ours = case.array("values"), case.array("offsets"), case.array("signatures")
    mul, add = case.array("mul"), case.array("add")
    n, p = ours.shape
    permutations = np.array([mul, add])

    # datasketch mixes its input with MurmurHash3's last step before it permutes. Given what that step turns into our
    # values, and our permutations, its signatures are ours.
    def unmix(h):
        h = h ^ (h >> np.uint64(33))
        h = h * np.uint64(pow(0xC4CEB9FE1A85EC53, -1, 1 << 64))
        h = h ^ (h >> np.uint64(33))
        h = h * np.uint64(pow(0xFF51AFD7ED558CCD, -1, 1 << 64))
        return h ^ (h >> np.uint64(33))

    before = unmix(values)
    sets = [before[offsets[i]:offsets[i + 1]].tolist() for i in range(n)]
    empty = np.full(p, ~np.uint64(0), dtype=np.uint64)
    same = {"hashfunc": int, "permutations": permutations, "hashvalues": empty, "scheme": "affine64"}

    def equal(part):
        def check(got):
            assert np.array_equal(np.asarray(got), ours[:part]), "signatures differ"
            return f"the same signatures, all {part} of them"
        return check

    def one_by_one(count):
        out = []
        for s in sets[:count]:
            m = datasketch.MinHash(**same)
            for x in s:
                m.update(x)
            out.append(m.hashvalues)
        return out

    few = min(n, 500)
    part = float(offsets[few]) / len(values)
    if part > 0:
        results.add(case, "datasketch", datasketch.__version__, "MinHash.update", 1, lambda: one_by_one(few), equal(few), part,
                    f"{few} sets, time in proportion to values")
    def bulk(some):
        return [m.hashvalues for m in datasketch.MinHash.bulk(some, **same)]

    note = "64-bit permutations; the values are given, no hash function is called but int"
    results.add(case, "datasketch", datasketch.__version__, "MinHash.bulk", 1, lambda: bulk(sets), equal(n), note=note)

    # The default scheme has 32 bits: half the work.
    short = [[x & 0xFFFFFFFF for x in s] for s in sets]

    def filled(got):
        assert len(got) == n and got[0].dtype == np.uint32 and got[0].shape == (p,), "not a signature for each set"
        return f"{n} signatures of its own permutations"

    results.add(case, "datasketch", datasketch.__version__, "MinHash.bulk, 32 bits", 1,
                lambda: [m.hashvalues for m in datasketch.MinHash.bulk(short, num_perm=p, hashfunc=int)], filled,
                note="its default scheme, 32-bit permutations: half the bits and less work")

    if args.threads > 1:
        context = get_context("fork")
        shared = context.RawArray("Q", n * p)
        out = np.frombuffer(shared, dtype=np.uint64).reshape(n, p)

        def child(first, last):
            if last > first:
                out[first:last] = bulk(sets[first:last])

        def processes():
            cuts = [n * i // args.threads for i in range(args.threads + 1)]
            children = [context.Process(target=child, args=c) for c in zip(cuts[:-1], cuts[1:])]
            for c in children:
                c.start()
            for c in children:
                c.join()
            return out

        results.add(case, "datasketch", datasketch.__version__, "MinHash.bulk in processes", args.threads, processes, equal(n), note=note)

    def numpy_form():
        got = np.empty((n, p), dtype=np.uint64)

        def some(first, last):
            for i in range(first, last):
                v = values[offsets[i]:offsets[i + 1], None]
                got[i] = (v * mul + add).min(0, initial=~np.uint64(0))

        in_parts(n, some)
        return got

    results.add(case, "numpy", np.__version__, "(x*mul+add).min(0)", args.threads, numpy_form, equal(n))


def kcenter(case, results):
    x, picks, radii = case.array("rows"), case.array("picks"), case.array("radii")
    k = len(picks)
    few = min(k, 300)

    def check(got):
        rows, dist = got
        same = int((rows == picks[:few]).sum())
        assert np.allclose(dist[1:], radii[1:few], rtol=1e-3, atol=1e-5), "radii differ"
        return f"radii within 1e-3, {same} of {few} picks the same"

    def loop(step):
        dist = np.full(len(x), np.inf, dtype=np.float32)
        rows, far = np.empty(few, dtype=np.int64), np.full(few, np.inf)
        i = int(picks[0])
        for n in range(few):
            rows[n] = i
            dist = np.minimum(dist, step(i))
            i = int(dist.argmax())
            if n + 1 < few:
                far[n + 1] = np.sqrt(max(dist[i], 0))
        return rows, far

    def by_products():
        norms = np.einsum("ij,ij->i", x, x)
        return loop(lambda i: norms + norms[i] - 2 * (x @ x[i]))

    def by_sklearn():
        norms = np.einsum("ij,ij->i", x, x)[:, None]
        pairs = sklearn.metrics.pairwise.euclidean_distances
        return loop(lambda i: pairs(x, x[i:i + 1], X_norm_squared=norms, squared=True)[:, 0])

    note = f"{few} of {k} picks, time in proportion to picks"
    results.add(case, "numpy", np.__version__, "((X-X[i])**2).sum(1)", args.threads, lambda: loop(lambda i: ((x - x[i])**2).sum(1)), check, few / k, note)
    results.add(case, "numpy", np.__version__, "norms + norms[i] - 2*X@X[i]", args.threads, by_products, check, few / k, note)
    results.add(case, "scikit-learn", sklearn.__version__, "euclidean_distances to each pick", args.threads, by_sklearn, check, few / k, note)


def cosine(case, results):
    x, first, second, similarity = case.array("rows"), case.array("first"), case.array("second"), case.array("similarity")
    n, limit = len(x), np.float32(case.parameters["threshold"])
    ours = dict(zip((first.astype(np.int64) * n + second).tolist(), similarity.tolist()))

    def check(got):
        i, j, s = got
        theirs = dict(zip((i.astype(np.int64) * n + j).tolist(), s.tolist()))
        odd = [(ours.get(key), theirs.get(key)) for key in ours.keys() ^ theirs.keys()]
        for pair in odd:
            value = pair[0] if pair[1] is None else pair[1]
            assert abs(value - limit) < 1e-5, f"a pair of similarity {value} is in one result alone"
        worst = max((abs(ours[key] - theirs[key]) for key in ours.keys() & theirs.keys()), default=0)
        assert worst < 1e-5, f"a similarity differs by {worst}"
        return f"{len(theirs)} pairs, all but {len(odd)} within 1e-5 of the threshold ours, values within {worst:.1e}"

    def normalised():
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        return x / np.where(norms > 0, norms, 1)

    def blocked(rows=2048):
        y = normalised()
        found = []
        for i in range(0, n, rows):
            s = y[i:i + rows] @ y[i:].T
            a, b = np.nonzero(s >= limit)
            keep = b > a
            found.append((a[keep] + i, b[keep] + i, s[a[keep], b[keep]]))
        return tuple(map(np.concatenate, zip(*found)))

    def by_faiss():
        y = normalised()
        index = faiss.IndexFlatIP(y.shape[1])
        index.add(y)
        lims, s, b = index.range_search(y, float(np.nextafter(limit, np.float32(0))))
        a = np.repeat(np.arange(n), np.diff(lims).astype(np.int64))
        keep = b > a
        return a[keep], b[keep], s[keep]

    results.add(case, "numpy", np.__version__, "blocks of 2048 rows, upper triangle", args.threads, blocked, check)
    results.add(case, "faiss-cpu", faiss.__version__, "IndexFlatIP.range_search", args.threads, by_faiss, check, note="every pair twice, as its interface wants")


def logprob(case, results):
    x, targets, ours = case.array("logits"), case.array("targets"), case.array("logprobs")
    n = len(x)
    asked = targets >= 0  # the others have no target, and the index -1 is as good as any

    def check(got):
        got, want = got[asked].astype(np.float64), ours[asked]
        finite = np.isfinite(want)
        assert np.array_equal(got[~finite], want[~finite]), "an infinite log-probability differs"
        worst = np.abs(got[finite] - want[finite]).max(initial=0.0)
        assert worst <= 1e-3, f"a log-probability differs by {worst}"
        return f"within {worst:.1e}"

    def threaded(rows, f):
        got = np.empty(n, dtype=np.float32)

        def some(first, last):
            for i in range(first, last, rows):
                end = min(i + rows, last)
                got[i:end] = f(x[i:end], targets[i:end])

        in_parts(n, some)
        return got

    def numpy_form(rows, at):
        top = rows.max(1)
        return rows[np.arange(len(rows)), at] - top - np.log(np.exp(rows - top[:, None]).sum(1))

    def scipy_form(rows, at):
        return rows[np.arange(len(rows)), at] - scipy.special.logsumexp(rows, axis=1)

    results.add(case, "numpy", np.__version__, "max, exp, sum, one row at a time", args.threads, lambda: threaded(1, numpy_form), check)
    results.add(case, "scipy", scipy.__version__, "logsumexp, 16 rows at a time", args.threads, lambda: threaded(16, scipy_form), check)


def main():
    results = Results(args.results)
    peers = {"minhash": minhash, "kcenter": kcenter, "cosine": cosine, "logprob": logprob}
    with open(os.path.join(args.data, "cases.jsonl"), encoding="utf-8") as f:
        cases = [Case(json.loads(line)) for line in f]
    for case in cases:
        if args.op in (None, case.op) and case.op in peers:
            peers[case.op](case, results)
    if results.failed:
        sys.exit(f"peers: {results.failed} results differ from winnow's")


main()
