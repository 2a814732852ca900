#!/usr/bin/env python3
"""Measures what PyTorch needs for the work of package kernels, on a GPU if there is one.

usage: torch_peers.py --json OUT [--device cuda|cpu] [--limit SECONDS] [--small]

Appends JSON lines to OUT, one for each form: {"kind": "torch", "op", "case", "form", "dtype", "device",
"repeats", "best_s", "median_s", "bytes_per_s", ...}, or "error" instead of times. The data are random, of the shapes
of the cases in internal/kernelcases. It needs PyTorch alone, and ends with 0 if every form gave a line without
error. Tiny shapes, to try the program, are taken with --small and without a GPU. See bench/kernels/README.md for what is compared with what.
"""
import argparse
import json
import math
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--json", required=True)
parser.add_argument("--device", choices=("cuda", "cpu"), help="default: cuda if PyTorch sees a GPU, else cpu")
parser.add_argument("--repeats", type=int, default=5)
parser.add_argument("--limit", type=float, default=20, help="begin no further repeat of a form after so many seconds")
parser.add_argument("--small", action="store_true")


def emit(path, line):
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps(line) + "\n")
    best = line.get("best_s")
    print(f"{best:10.5f} s" if best is not None else "     failed", line.get("op"), line.get("case", ""), line.get("form", ""),
          line.get("dtype", ""), line.get("error", ""), flush=True)


def main():
    args = parser.parse_args()
    try:
        import torch
    except ImportError as e:
        emit(args.json, {"kind": "torch", "op": "none", "error": f"PyTorch cannot be loaded: {e}"})
        return 1
    name = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        emit(args.json, {"kind": "torch", "op": "none", "error": "PyTorch sees no GPU; --device cpu does without"})
        return 1
    device = torch.device(name)
    small = args.small or name == "cpu"
    where = torch.cuda.get_device_name(0) if name == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    failures = 0

    def wait():
        if name == "cuda":
            torch.cuda.synchronize()

    def measure(op, case, form, dtype, run, check, data_bytes, operations):
        """Times run; check takes its result and returns what is worth telling, or raises."""
        nonlocal failures
        line = {"kind": "torch", "op": op, "case": case, "form": form, "dtype": dtype, "device": where, "torch": torch.__version__}
        try:
            result = run()  # warms up, and shows whether it works at all
            wait()
            line["result"] = check(result)
            del result
            if name == "cuda":
                torch.cuda.reset_peak_memory_stats()
            times, start = [], time.monotonic()
            while not times or len(times) < args.repeats and time.monotonic() - start < args.limit:
                wait()
                begin = time.perf_counter()
                result = run()
                wait()
                times.append(time.perf_counter() - begin)
                del result
            times.sort()
            line.update(repeats=len(times), best_s=times[0], median_s=times[len(times) // 2], bytes=data_bytes, operations=operations,
                        bytes_per_s=data_bytes / times[0], operations_per_s=operations / times[0])
            if name == "cuda":
                line["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
        except Exception as e:  # out of memory, a missing operator: told, and the next form goes on
            failures += 1
            line["error"] = f"{type(e).__name__}: {e}"[:500]
        emit(args.json, line)
        if name == "cuda":
            torch.cuda.empty_cache()

    def rows_of(n, d, seed):
        torch.manual_seed(seed)
        return torch.randn(n, d, device=device)

    def kcenter(n, d, k):
        case = f"n={n} d={d} k={k}"
        full = rows_of(n, d, 1)

        def picks(step, x):
            """The loop without a word to the host: the pick stays on the device."""
            dist = torch.full((n,), math.inf, device=device)
            i = torch.zeros(1, dtype=torch.long, device=device)
            out = []
            for _ in range(k):
                out.append(i)
                dist = torch.minimum(dist, step(x, x.index_select(0, i)))
                i = dist.argmax(0, keepdim=True)
            return torch.cat(out), dist.max()

        def check(result):
            rows, radius = result
            if len(torch.unique(rows)) != k:
                raise ValueError("a row was picked twice")
            return {"squared_radius": float(radius)}

        for dtype in (torch.float32, torch.float16):
            x = full.to(dtype)
            norms = x.float().pow(2).sum(1)

            def by_products(x, c):
                return norms + c.float().pow(2).sum() - 2 * (x @ c.T).float().squeeze(1)

            def by_differences(x, c):
                return (x - c).float().pow(2).sum(1)

            kind = str(dtype).removeprefix("torch.")
            work = (n * d * x.element_size() * k, 2 * n * d * k)
            measure("kcenter", case, "norms + norm - 2·X@x, minimum, argmax", kind, lambda: picks(by_products, x), check, *work)
            measure("kcenter", case, "((X-x)²).sum(1), minimum, argmax", kind, lambda: picks(by_differences, x), check, *work)

    def cosine(n, d, threshold, block):
        case = f"n={n} d={d} t={threshold}"
        full = rows_of(n, d, 2)
        copies = n // 100
        full[n - copies:] = full[:copies] + 0.1 * rows_of(copies, d, 3)

        def pairs(dtype):
            y = torch.nn.functional.normalize(full).to(dtype)
            found = []
            for i in range(0, n, block):
                for j in range(i, n, block):
                    s = y[i:i + block] @ y[j:j + block].T
                    at = (s >= threshold).nonzero()
                    keep = at[:, 0] + i < at[:, 1] + j
                    at = at[keep]
                    found.append((at[:, 0] + i, at[:, 1] + j, s[at[:, 0], at[:, 1]]))
            return tuple(torch.cat(parts) for parts in zip(*found))

        def check(result):
            if len(result[0]) < copies:
                raise ValueError(f"{len(result[0])} pairs, want at least the {copies} that were planted")
            return {"pairs": len(result[0])}

        for dtype in (torch.float32, torch.float16):
            kind = str(dtype).removeprefix("torch.")
            measure("cosine", case, f"blocks of {block}, upper triangle, nonzero", kind, lambda: pairs(dtype), check,
                    n * d * torch.empty(0, dtype=dtype).element_size(), n * (n - 1) * d)

    def logprob(rows, vocabulary):
        case = f"rows={rows} vocabulary={vocabulary}"
        full = 4 * rows_of(rows, vocabulary, 4)
        targets = torch.randint(vocabulary, (rows,), device=device)
        want = torch.log_softmax(full.double(), 1).gather(1, targets[:, None]).squeeze(1)

        def check(result):
            worst = float((result.double() - want).abs().max())
            if not worst <= 0.05:  # float16 has 3 digits
                raise ValueError(f"a log-probability differs by {worst}")
            return {"max_error": worst}

        for dtype in (torch.float32, torch.float16):
            x = full.to(dtype)
            kind = str(dtype).removeprefix("torch.")
            work = (rows * vocabulary * x.element_size(), 4 * rows * vocabulary)

            def lse(x=x):
                top = x.float()
                return top.gather(1, targets[:, None]).squeeze(1) - torch.logsumexp(top, 1)

            measure("logprob", case, "logsumexp, gather", kind, lse, check, *work)
            measure("logprob", case, "log_softmax, gather", kind,
                    lambda: torch.log_softmax(x, 1, dtype=torch.float32).gather(1, targets[:, None]).squeeze(1), check, *work)
            measure("logprob", case, "cross_entropy", kind,
                    lambda: -torch.nn.functional.cross_entropy(x, targets, reduction="none").float(), check, *work)

    ops = [
        (kcenter, (300, 16, 20) if small else (52_000, 768, 9_000)),
        (cosine, (500, 16, 0.9, 128) if small else (100_000, 384, 0.9, 8_192)),
        (logprob, (3, 100) if small else (512, 151_936)),
        (logprob, (5, 33) if small else (2_048, 49_152)),
    ]
    for op, shape in ops:
        try:
            with torch.inference_mode():
                op(*shape)
        except Exception as e:  # the data themselves may not fit
            failures += 1
            emit(args.json, {"kind": "torch", "op": op.__name__, "case": str(shape), "error": f"{type(e).__name__}: {e}"[:500]})
    return 1 if failures else 0


sys.exit(main())
