"""What the steps share: where things are, how long they may take, how programs are run."""

import json
import os
import subprocess
import sys
import time


class Stop(Exception):
    """Ends a step with a reason."""


def write_json(path, value):
    """The file is there whole or not at all."""
    with open(path + ".part", "w") as f:
        json.dump(value, f, indent=1)
        f.write("\n")
    os.replace(path + ".part", path)


def read_lines(path):
    """The JSON lines of a file; what was cut off does not count."""
    values = []
    try:
        with open(path) as f:
            for line in f:
                try:
                    values.append(json.loads(line))
                except ValueError:
                    pass
    except FileNotFoundError:
        pass
    return values


def open_lines(path):
    """Opens a file to append lines, behind one that was cut off too."""
    f = open(path, "a+b")
    if f.tell() > 0:
        f.seek(-1, os.SEEK_END)
        if f.read() != b"\n":
            f.write(b"\n")
    return f


def text(output):
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def roomy(folder):
    """Where models are made: in memory if there is room for the largest twice over, else in the folder."""
    try:
        fs = os.statvfs("/dev/shm")
    except OSError:
        return folder
    return f"/dev/shm/winnow-gpu-check-{os.getuid()}" if fs.f_bavail * fs.f_frsize > 40e9 else folder


class Run:
    """What a program did."""

    def __init__(self, args, code, out, err, seconds):
        self.args, self.code, self.out, self.err, self.seconds = args, code, out, err, seconds

    def failure(self):
        """Says in a line what went wrong."""
        what = f"took more than {self.seconds:.0f} s" if self.code is None else f"ended with {self.code}"
        last = [line for line in (self.err + self.out).splitlines() if line.strip()][-3:]
        return f"{os.path.basename(self.args[0])} {' '.join(self.args[1:4])} {what}: {' / '.join(last)[-600:]}"


class Check:
    """The check's folders and settings."""

    def __init__(self, bundle, out):
        env = os.environ.get
        self.bundle, self.out = os.path.abspath(bundle), os.path.abspath(out)
        self.began = time.time()
        self.deadline = time.monotonic() + 24 * 3600
        self.device = env("WINNOW_GPU_CHECK_DEVICE") or "gpu"
        if self.device not in ("gpu", "cpu"):
            sys.exit(f"gpu-check: WINNOW_GPU_CHECK_DEVICE is {self.device}: want gpu or cpu")
        self.dry = self.device == "cpu"
        shapes = "smollm2-135m" if self.dry else "qwen2.5-0.5b,qwen2.5-7b,llama-3.1-8b"
        self.shapes = (env("WINNOW_GPU_CHECK_SHAPES") or shapes).split(",")  # the smallest first
        try:
            self.price = float(env("WINNOW_GPU_CHECK_PRICE") or 0.30)  # of a kilowatt-hour, in any currency
        except ValueError:
            sys.exit(f"gpu-check: WINNOW_GPU_CHECK_PRICE is {env('WINNOW_GPU_CHECK_PRICE')}: want the price of a kilowatt-hour, such as 0.30")
        self.models = env("WINNOW_GPU_CHECK_MODELS") or roomy(os.path.join(self.out, "models"))
        self.real = env("WINNOW_GPU_CHECK_MODEL") or ""
        self.winnow = os.path.join(self.bundle, "bin", "winnow")

    def path(self, step):
        return os.path.join(self.out, step + ".json")

    def result(self, step):
        try:
            with open(self.path(step)) as f:
                return json.load(f)
        except FileNotFoundError:
            return None

    def left(self):
        """Seconds that the step still has."""
        return self.deadline - time.monotonic()

    def kernels(self, weights):
        """The kinds of matrix products to try; None is the program's own choice."""
        if self.dry:
            return [None]
        if weights == "F16":
            return ["cublas", "cublas-f16"]  # int8 is for quantized weights
        return ["cublas", "int8", "cublas-f16"]

    def layers(self):
        """The flags that put a model where the check computes."""
        return ["-ngl", "0"] if self.dry else []

    def run(self, args, seconds=None, env=None, cwd=None, out=None):
        """Runs a program within the step's time. Its output is in the result, or with out in that file."""
        limit = max(1.0, min(seconds or self.left(), self.left()))
        began = time.monotonic()
        with open_lines(out) if out else open(os.devnull, "w") as file:
            try:
                p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=file if out else subprocess.PIPE, stderr=subprocess.PIPE,
                                   timeout=limit, env={**os.environ, **(env or {})}, cwd=cwd)
                code, stdout, stderr = p.returncode, p.stdout, p.stderr
            except subprocess.TimeoutExpired as late:
                code, stdout, stderr = None, late.stdout, late.stderr
            except OSError as err:
                raise Stop(f"start {args[0]}: {err}") from err
        return Run(args, code, text(stdout), text(stderr), time.monotonic() - began)

    def need(self, args, **how):
        """Runs a program that must succeed."""
        r = self.run(args, **how)
        if r.code != 0:
            raise Stop(r.failure())
        return r

    def model(self, shape, weights):
        """Returns a model's path and whether it was made here: one that lies in the folder of models is used as it is."""
        path = os.path.join(self.models, f"{shape}-{weights}.gguf")
        if os.path.exists(path):
            return path, os.path.exists(path + ".synthetic")
        os.makedirs(self.models, exist_ok=True)
        began = time.monotonic()
        open(path + ".synthetic", "w").close()
        self.need([self.winnow, "bench", "synthesize", shape, "--to", weights, "-o", path])
        print(f"gpu-check:   {shape} {weights} made in {time.monotonic() - began:.0f} s", flush=True)
        return path, True

    def forget(self, path, least=2e9):
        """Removes a model that was made here, unless it is small and made again in no time."""
        if os.path.exists(path + ".synthetic") and os.path.getsize(path) >= least:
            os.remove(path)
            os.remove(path + ".synthetic")

    def clear(self):
        """Removes all models that were made here."""
        for name in os.listdir(self.models) if os.path.isdir(self.models) else []:
            if name.endswith(".gguf"):
                self.forget(os.path.join(self.models, name), 0)

    def records(self, n):
        """Returns a file of n records of random words, the same ones everywhere."""
        path = os.path.join(self.out, "work", f"records-{n}.jsonl")
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self.need([self.winnow, "bench", "records", "--records", str(n), "-o", path])
        return path

    def work(self, name):
        """A folder for what a step writes besides its figures."""
        path = os.path.join(self.out, "work", name)
        os.makedirs(path, exist_ok=True)
        return path
