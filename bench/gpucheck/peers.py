"""The steps that measure PyTorch beside the program, and package kernels."""

import glob
import os
import shutil
import sys

from shell import Stop, read_lines

HERE = os.path.dirname(os.path.abspath(__file__))


def torch_python(check):
    """Returns a Python that has PyTorch, or None and why not."""
    named = os.environ.get("WINNOW_GPU_CHECK_PYTHON")
    venv = os.environ.get("VIRTUAL_ENV")
    places = [named] if named else [sys.executable, shutil.which("python3"), venv and os.path.join(venv, "bin", "python3"), *sorted(glob.glob("/opt/*/.venv/bin/python3")), *sorted(glob.glob("/opt/*/bin/python3"))]
    why = "no Python was found"
    for python in dict.fromkeys(p for p in places if p):
        try:
            r = check.run([python, "-c", "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())"], 120)
        except Stop as stop:
            why = str(stop)
            continue
        if r.code == 0 and (check.dry or r.out.split()[-1] == "True"):
            return python, r.out.strip()
        why = f"{python}: PyTorch {r.out.split()[0]} sees no GPU" if r.code == 0 else f"{python}: " + (r.err.splitlines() or ["no output"])[-1]
    return None, f"no PyTorch to compare with ({why}): WINNOW_GPU_CHECK_PYTHON names a Python that has it"


def forward(check):
    """The same shapes' forward pass in bf16 by PyTorch and transformers, tokens a second."""
    python, what = torch_python(check)
    if not python:
        return {"status": "absent", "reason": what}
    path = os.path.join(check.work("torch"), "forward.jsonl")
    device = "cpu" if check.dry else "cuda"
    bad = []
    for shape in ["ceilings"] + (["tiny"] if check.dry else check.shapes[::-1]):
        if any(line["shape"] == shape for line in read_lines(path)):
            continue
        if check.left() < 20:
            break
        args = [python, os.path.join(HERE, "torch_forward.py"), "--shape", shape, "--device", device]
        r = check.run(args, min(200, check.left() - 5), out=path)
        if r.code != 0:
            bad.append(f"{shape}: {r.failure()}")
    lines = read_lines(path)
    return {"status": "failed" if bad or not lines else "passed", "reason": "; ".join(bad), "torch": what, "rates": lines}


def kernels(check):
    """The program of bench/kernels: each operation's forms on the CPU and on the GPU."""
    program = os.path.join(check.bundle, "bin", "bench-kernels")
    if not os.path.exists(program):
        return {"status": "absent", "reason": "the bundle has no bench-kernels"}
    path = os.path.join(check.work("kernels"), "kernels.jsonl")
    if os.path.exists(path):
        os.remove(path)
    args = [program, "-json", path, "-device", "off" if check.dry else "0", "-repeats", "3", "-limit", "8s"]
    r = check.run(args, check.left() - 10)
    lines = read_lines(path)
    if r.code is None and lines:
        return {"status": "passed", "reason": "time ended it: what is missing was not measured", "lines": lines}
    if r.code != 0:
        return {"status": "failed", "reason": r.failure(), "lines": lines}
    return {"lines": lines}


def torch_kernels(check):
    """The same operations written in PyTorch."""
    script = os.path.join(check.bundle, "bench", "kernels", "torch_peers.py")
    if not os.path.exists(script):
        return {"status": "absent", "reason": "the bundle has no bench/kernels/torch_peers.py"}
    python, what = torch_python(check)
    if not python:
        return {"status": "absent", "reason": what}
    path = os.path.join(check.work("kernels"), "torch.jsonl")
    if os.path.exists(path):
        os.remove(path)
    r = check.run([python, script, "--json", path], check.left() - 10)
    if r.code != 0:
        return {"status": "failed", "reason": r.failure(), "lines": read_lines(path)}
    return {"torch": what, "lines": read_lines(path)}
