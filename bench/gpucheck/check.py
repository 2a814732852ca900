#!/usr/bin/env python3
"""Runs the steps of the GPU check one after the other; scripts/gpu-check.sh starts it.

Each step runs in a process of its own, within a limit of time, and leaves
OUT/STEP.json: {"step", "status", "reason", "seconds", ...figures}. The status is
passed, failed, absent (this machine lacks what the step needs) or incomplete (time
ran out; what is measured is kept and the next run goes on from there). Steps that
have another status than incomplete are not run again, but for the first two where they
failed: remove the file to run one anew.
Nothing but Python's standard library is needed; the torch steps look for PyTorch.
"""

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import traceback

import machine
import peers
import ratings
import report
import throughput
from shell import Check, Stop, write_json

STEP_SECONDS = 530  # a step's own limit
GRACE_SECONDS = 20  # after which a step that does not end is killed

FIRST = ("machine", "doctor")  # run again where they failed: what they found missing may be there now
BY_PROGRAM = ("ratings-", "repeat", "throughput-", "headline-", "tune")  # of no use where the program does not find the GPU


def steps(check):
    """The steps in the order of their importance: the time may not suffice for all."""
    todo = [
        ("machine", machine.machine),
        ("doctor", machine.doctor),
        ("tests", machine.tests),
    ]
    small, *large = check.shapes
    todo.append((f"ratings-{small}", lambda c: ratings.ratings(c, small)))
    todo.append(("repeat", ratings.repeat))
    for shape in large + [small]:
        todo.append((f"throughput-{shape}", lambda c, s=shape: throughput.matrix(c, s)))
    for shape in large + [small]:
        todo.append((f"headline-{shape}", lambda c, s=shape: throughput.headline(c, s)))
    todo.append(("torch", peers.forward))
    todo.append(("kernels", peers.kernels))
    todo.append(("torch-kernels", peers.torch_kernels))
    todo.append(("sanitizer", machine.sanitizer))
    for shape in large[:1]:
        todo.append((f"ratings-{shape}", lambda c, s=shape: ratings.ratings(c, s)))
    todo.append(("ratings-real", ratings.real))
    todo.append(("tune", throughput.tune))
    return todo


def main():
    p = argparse.ArgumentParser(prog="gpu-check.sh BUNDLE OUT")
    p.add_argument("--bundle", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--list", action="store_true", help="list the steps and what is known of each")
    p.add_argument("--seconds", type=float, default=0, help="begin nothing and end all after so long; 0: no limit")
    p.add_argument("--within", type=float, help=argparse.SUPPRESS)  # in a step's own process: its limit
    p.add_argument("step", nargs="*", help="run these alone (default: all)")
    a = p.parse_args()
    began = time.monotonic()
    os.makedirs(a.out, exist_ok=True)
    check = Check(a.bundle, a.out)
    todo = steps(check)
    names = [name for name, _ in todo]
    unknown = [s for s in a.step if s not in names]
    if unknown:
        p.error(f"no step {', '.join(unknown)}; there are {', '.join(names)}")
    if a.within:
        return run_here(check, dict(todo)[a.step[0]], a.step[0], a.within)
    if a.list:
        for name in names:
            done = check.result(name)
            print(f"{name:28} {done['status'] if done else 'to do'}{reason_of(done)}")
        return 0
    for name in a.step or names:
        done = check.result(name)
        if done and done["status"] != "incomplete" and not (name in FIRST and done["status"] == "failed"):
            print(f"gpu-check: {name}: {done['status']} before", flush=True)
            continue
        doctor = check.result("doctor")
        if name.startswith(BY_PROGRAM) and doctor and doctor["status"] == "failed":
            print(f"gpu-check: {name}: not run, since doctor failed", flush=True)
            continue
        left = a.seconds - (time.monotonic() - began) - 2 * GRACE_SECONDS if a.seconds else STEP_SECONDS
        if left <= 0:
            print(f"gpu-check: {name}: no time left, run it again", flush=True)
            continue
        print(f"gpu-check: {name} ...", flush=True)
        run_apart(check, name, min(left, STEP_SECONDS))
        done = check.result(name)
        print(f"gpu-check: {name}: {done['status']} in {done['seconds']:.0f} s{reason_of(done)}", flush=True)
    if all(check.result(name) and check.result(name)["status"] != "incomplete" for name in names):
        check.clear()
    path = report.write(check, names)
    print(f"gpu-check: {path} has it all", flush=True)
    results = [check.result(name) for name in a.step or names]
    return 0 if all(r and r["status"] in ("passed", "absent") for r in results) else 1


def reason_of(done):
    return f": {done['reason']}" if done and done.get("reason") else ""


def run_apart(check, name, seconds):
    """Runs a step in a process group of its own and ends that when its time is up."""
    began = time.monotonic()
    args = [sys.executable, os.path.abspath(__file__), "--bundle", check.bundle, "--out", check.out, "--within", str(seconds), name]
    libc = ctypes.CDLL(None)

    def die_with_parent():
        libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG

    with subprocess.Popen(args, start_new_session=True, preexec_fn=die_with_parent) as step:
        def stop(signum, _frame):
            end_group(step)
            sys.exit(128 + signum)

        before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            code = step.wait(seconds + GRACE_SECONDS)
            reason = f"the step's process ended with {code} and left no result"
        except subprocess.TimeoutExpired:
            reason = f"the step did not end within {seconds:.0f} s"
        finally:
            end_group(step)
            for s, handler in before.items():
                signal.signal(s, handler)
    done = check.result(name)
    if done is None or done.get("began", 0) < check.began:
        write_json(check.path(name), {"step": name, "status": "failed", "reason": reason, "seconds": time.monotonic() - began, "began": time.time()})


def end_group(step):
    try:
        os.killpg(step.pid, signal.SIGKILL)  # it leads a group of its own
    except ProcessLookupError:
        pass


def run_here(check, step, name, seconds):
    """Runs a step in this process and writes its result."""
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    check.deadline = time.monotonic() + seconds
    began, started = time.monotonic(), time.time()
    try:
        result = step(check)
    except Stop as stop:
        result = {"status": "failed", "reason": str(stop)}
    except Exception as err:  # whatever it is, the other steps go on
        traceback.print_exc()
        result = {"status": "failed", "reason": f"{type(err).__name__}: {err}"}
    order = {"step": name, "status": result.pop("status", "passed"), "reason": result.pop("reason", ""), "seconds": round(time.monotonic() - began, 1)}
    write_json(check.path(name), {**order, "began": started, **result})
    return 0


if __name__ == "__main__":
    sys.exit(main())
