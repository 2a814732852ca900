"""The steps that look at the machine and run the test programs."""

import ctypes
import glob
import json
import os
import platform
import re
import shutil
import threading
import time

from shell import Stop

GPU_FIELDS = ["name", "driver_version", "compute_cap", "memory.total", "memory.used", "power.limit", "clocks.max.sm", "clocks.max.memory", "clocks.sm",
              "temperature.gpu", "pcie.link.gen.current", "pcie.link.width.current", "ecc.mode.current", "mig.mode.current"]


def machine(check):
    """What computes here, as the system tells it."""
    m = {"cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)), "system": platform.platform(), "python": platform.python_version()}
    m["memory_bytes"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    fs = os.statvfs(check.out)
    m["disk_free_bytes"] = fs.f_bavail * fs.f_frsize
    m["models_folder"] = check.models
    m["cpu_copy_bytes_per_s"] = copy_rate(m["cores"], 1 << (24 if check.dry else 28))
    m["gpus"] = gpus(check)
    if not check.dry and not m["gpus"]:
        return {**m, "status": "failed", "reason": "nvidia-smi shows no GPU: without one only WINNOW_GPU_CHECK_DEVICE=cpu makes sense"}
    if len(m["gpus"]) > 1:
        m["note"] = "several GPUs: figures are of all that CUDA_VISIBLE_DEVICES leaves"
    return m


def cpu_name():
    with open("/proc/cpuinfo") as f:
        found = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
    return found.group(1) if found else platform.machine()


def gpus(check):
    """The GPUs by nvidia-smi: [] without that program or a driver."""
    if not shutil.which("nvidia-smi"):
        return []
    r = check.run(["nvidia-smi", "--query-gpu=" + ",".join(GPU_FIELDS), "--format=csv,noheader,nounits"], 60)
    if r.code != 0:
        return []
    rows = [[x.strip() for x in line.split(",")] for line in r.out.splitlines() if line.strip()]
    return [dict(zip(GPU_FIELDS, row)) for row in rows]


def copy_rate(threads, size):
    """Bytes a second, read and written, that all threads together copy between buffers of size."""
    pairs = [(ctypes.create_string_buffer(size), ctypes.create_string_buffer(size)) for _ in range(min(threads, 16))]

    def copy(pair, times):
        for _ in range(times):
            ctypes.memmove(pair[0], pair[1], size)  # lets other threads run meanwhile

    best = 0.0
    for times in (1, 3, 3):  # the first touches the pages
        workers = [threading.Thread(target=copy, args=(p, times)) for p in pairs]
        began = time.monotonic()
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        best = max(best, 2 * size * times * len(pairs) / (time.monotonic() - began))
    return best


def doctor(check):
    """winnow doctor: build, devices, self-test."""
    r = check.run([check.winnow, "doctor", "--json"], 240)
    if r.code == 2:  # a build whose doctor only speaks to people
        r = check.run([check.winnow, "doctor"], 240)
    if r.code != 0:
        return {"status": "failed", "reason": r.failure()}
    try:
        said = json.loads(r.out)
    except ValueError:
        said = r.out.splitlines()
    found = {"doctor": said, "warnings": r.err.splitlines()[:20]}
    if not check.dry and "CUDA0" not in r.out:
        cuda = said.get("cuda", {}) if isinstance(said, dict) else {}
        return {**found, "status": "failed", "reason": f"the program sees no CUDA device: {cuda.get('reason') or r.err[-300:]}; what would change that: {cuda.get('remedy', 'winnow doctor says')}"}
    return found


# What is run of each test program: the tests that have to do with a device. Those of the
# emulation need a compiler.
PROGRAMS = {
    "llama": ["-test.run", "^TestDevices$|^TestDefaultMatmul$|^TestOutputLogProb$"],
    "engine": ["-test.run", "^TestDevice$|^TestSibling$"],
    "kernels": ["-test.skip", "^TestEmulation|^TestLibrary_refuses$"],
}


def tests(check):
    """The test programs, of the engine with each kind of matrix products."""
    runs = []
    for path in sorted(glob.glob(os.path.join(check.bundle, "test", "*.test"))):
        name = os.path.basename(path)[: -len(".test")]
        if name == "kernels" and check.dry:
            continue  # without a GPU they want the kernels' sources and a compiler
        for kind in check.kernels("Q8_0") if name == "engine" else [None]:
            env = {"WINNOW_TEST_DEVICE": check.device, **({"WINNOW_CUDA_MATMUL": kind} if kind else {})}
            r = check.run([path, "-test.v", "-test.timeout", "300s", *PROGRAMS.get(name, [])], 240, env=env, cwd=os.path.dirname(path))
            runs.append({"program": name, "matmul": kind, **outcome(r)})
    if not runs:
        return {"status": "absent", "reason": "the bundle has no test programs"}
    bad = [f"{r['program']} {r['reason']}" for r in runs if r["reason"]]
    return {"status": "failed" if bad else "passed", "reason": "; ".join(bad), "programs": runs}


def outcome(r):
    """Reads what a Go test program printed."""
    found = {kind: re.findall(rf"^\s*--- {kind}: (\S+)", r.out, re.M) for kind in ("PASS", "FAIL", "SKIP")}
    o = {"passed": len(found["PASS"]), "failed": found["FAIL"], "skipped": found["SKIP"], "seconds": round(r.seconds, 1), "reason": ""}
    o["notes"] = re.findall(r"^\s+\w+_test\.go:\d+: (.*)$", r.out, re.M)[:40]
    if r.code != 0 or found["FAIL"]:
        o["reason"] = f"failed {', '.join(found['FAIL'])}: {r.failure()}"
    elif not found["PASS"]:
        o["reason"] = "ran no test"
    return o


def sanitizer(check):
    """compute-sanitizer over the tests of the kernels, tool by tool while there is time."""
    tests = os.path.join(check.bundle, "test", "kernels.test")
    if not os.path.exists(tests):
        return {"status": "absent", "reason": "the bundle has no tests of kernels"}
    places = [shutil.which("compute-sanitizer")] + sorted(glob.glob("/usr/local/cuda*/bin/compute-sanitizer")) + sorted(glob.glob("/usr/local/cuda*/compute-sanitizer/compute-sanitizer"))
    tool = next((p for p in places if p and os.access(p, os.X_OK)), None)
    if not tool:
        return {"status": "absent", "reason": "there is no compute-sanitizer on the PATH or below /usr/local/cuda*"}
    runs, bad = [], []
    for kind in ("memcheck", "racecheck", "initcheck", "synccheck"):
        if check.left() < 30:
            break
        r = check.run([tool, "--tool", kind, "--error-exitcode", "77", "--launch-timeout", "60", tests, "-test.v", "-test.short", "-test.timeout", "240s", *PROGRAMS["kernels"]],
                      min(240, check.left() - 10), env={"WINNOW_TEST_DEVICE": check.device}, cwd=os.path.dirname(tests))
        summary = re.findall(r"^=+ ((?:ERROR|RACECHECK) SUMMARY: .*)$", r.out + r.err, re.M)
        runs.append({"tool": kind, "code": r.code, "summary": summary[-1:], "passed": len(re.findall(r"--- PASS: ", r.out)), "seconds": round(r.seconds, 1)})
        if r.code != 0:
            bad.append(f"{kind}: {r.failure()}")
    if not runs:
        raise Stop("no time was left for a tool")
    return {"status": "failed" if bad else "passed", "reason": "; ".join(bad), "tools": runs}
