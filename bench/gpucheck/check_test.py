"""Tests of what the check concludes from figures; bench/gpucheck/check_test.go runs them."""

import json
import os
import tempfile
import types
import unittest

import machine
import ratings
import report
import shell
import throughput


class Compare(unittest.TestCase):
    def test_equal(self):
        a = {str(i): i / 20 for i in range(100)}
        found = ratings.compare(a, dict(a))
        self.assertEqual((found["records"], found["identical"], found["max"]), (100, 100, 0))
        self.assertEqual([c["kept"] for c in found["cuts"]], [10, 50])
        self.assertTrue(found["holds"])

    def test_only_common_records_count(self):
        self.assertEqual(ratings.compare({"a": 1, "b": 2}, {"b": 2, "c": 5})["records"], 1)
        with self.assertRaises(shell.Stop):
            ratings.compare({"a": 1}, {"b": 1})

    def test_near_the_cut_may_change_sides(self):
        want = {str(i): 1.0 for i in range(200)}
        want["x"], got = 4.51, dict(want)
        got.update(want)
        got["x"] = 4.49
        found = ratings.compare(want, got)
        self.assertEqual((found["cuts"][0]["changed"], found["cuts"][0]["stray"]), (1, 0))
        self.assertTrue(found["holds"])

    def test_far_from_the_cut_may_not(self):
        want = {str(i): 1.0 for i in range(200)}
        want["x"] = 4.6
        got = {**want, "x": 4.4}  # one in 201 does not move the 99th percentile
        found = ratings.compare(want, got)
        self.assertLessEqual(found["p99"], 0.02)
        self.assertEqual(found["cuts"][0]["stray"], 1)
        self.assertFalse(found["holds"])

    def test_large_differences(self):
        want = {str(i): 2.0 for i in range(100)}
        self.assertFalse(ratings.compare(want, {k: 2.021 for k in want})["holds"])
        self.assertFalse(ratings.compare(want, {k: float("nan") for k in want})["holds"])

    def test_journal(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "scores.jsonl")
            with open(path, "w") as f:
                f.write('{"kind":"manifest","runtime":{"engine":"e","device":"NVIDIA H100"}}\n{"key":"a","rating":3.5}\n{"key":"b","status":"off_scale"}\n{"key":"c","rati')
            self.assertEqual(ratings.read_journal(path), ("NVIDIA H100", {"a": 3.5}))


class Goals(unittest.TestCase):
    def met(self, results):
        return {g["goal"]: g["met"] for g in report.goals(results)}

    def test_nothing_measured(self):
        self.assertEqual(set(self.met({}).values()), {None})
        self.assertEqual(set(self.met({"repeat": None, "headline-qwen2.5-7b": {"status": "failed"}, "ratings-real": {"status": "absent"}}).values()), {None})

    def test_limits(self):
        def results(efficiency, rate, seconds, same):
            best = {"efficiency": efficiency, "grading_tokens_per_s": rate, "alpaca_52k_s": seconds}
            found = {f"headline-{s}": {"best": best} for s in report.EFFICIENCY}
            return {**found, "repeat": {"runs": [{"same_bytes": True}, {"same_bytes": same}]}}

        # Ratings and kernels have no figures here.
        self.assertEqual(set(self.met(results(0.95, 25000, 359.9, True)).values()), {True, None})
        bad = self.met(results(0.7, 24999, 360, False))
        self.assertEqual(set(bad.values()), {False, None})
        self.assertEqual(list(bad.values()).count(False), 6)

    def test_ratings(self):
        c = {"model": "m", "matmul": "int8", "p99": 0.02, "cuts": [{"stray": 0}, {"stray": 1}]}
        met = self.met({"ratings-m": {"comparisons": [c, {"model": "n", "matmul": None, "error": "no memory"}]}})
        self.assertTrue(met["CPU and GPU, m, int8: p99 of |Δ rating|"])
        self.assertFalse(met["CPU and GPU, m, int8: records on other sides of a cut, farther than 0.02 from it"])
        self.assertIsNone(met["CPU and GPU, n, default: p99 of |Δ rating|"])


    def test_kernels(self):
        def line(op, device, shape, **figures):
            return {"kind": "kernel", "op": op, "device": device, "shape": shape, **figures}

        center = {"rows": 52000, "columns": 768, "picks": 9000}
        lines = [
            {"kind": "machine", "device": "H100"},
            line("kcenter", "H100", center, median_s=1.5), line("kcenter", "H100", center, median_s=0.9), line("kcenter", "", center, median_s=0.1),
            line("cosine", "H100", {"rows": 100000, "columns": 384, "against": 0}, median_s=0.2), line("cosine", "H100", {"rows": 5000, "columns": 384, "against": 100000}, median_s=0.01),
            line("logprob", "H100", {"rows": 2048}, median_s=0.1),
        ]
        found = {g["goal"].split()[0].rstrip(":"): (g["got"], g["met"]) for g in report.kernel_goals({"kernels": {"lines": lines}})}
        self.assertEqual(found, {"kcenter": (0.9, True), "cosine": (0.2, False), "logprob": (None, None)})
        lines[-1]["bytes_share"] = 0.71
        self.assertEqual(report.kernel_goals({"kernels": {"lines": lines}})[-1]["met"], True)


class Programs(unittest.TestCase):
    def test_outcome(self):
        run = lambda code, out: machine.outcome(shell.Run(["x.test"], code, out, "", 1.0))
        good = run(0, "=== RUN   TestA\n    a_test.go:5: differs by 0.1\n--- PASS: TestA (0.00s)\n    --- PASS: TestA/b (0.00s)\nPASS\n")
        self.assertEqual((good["passed"], good["reason"], good["notes"]), (2, "", ["differs by 0.1"]))
        self.assertIn("TestB", run(1, "--- PASS: TestA (0.00s)\n--- FAIL: TestB (0.00s)\n")["reason"])
        self.assertIn("ran no test", run(0, "testing: warning: no tests to run\nPASS\n")["reason"])
        self.assertIn("took more than", run(None, "--- PASS: TestA (0.00s)\n")["reason"])

    def test_best(self):
        cells = [{"weights": "F16", "cell": "1", "error": "no memory"}, {"weights": "F16", "cell": "2", "grading_tokens_per_s": 5}, {"weights": "Q8_0", "cell": "1", "grading_tokens_per_s": 7}]
        self.assertEqual(throughput.best(cells)["weights"], "Q8_0")
        self.assertEqual(throughput.best(cells, "F16")["cell"], "2")
        self.assertIsNone(throughput.best(cells[:1]))

    def test_cells(self):
        os.environ.pop("WINNOW_GPU_CHECK_DEVICE", None)
        with tempfile.TemporaryDirectory() as folder:
            check = shell.Check(folder, folder)
        self.assertEqual(throughput.cells(check, "Q8_0")[:4], ["2048/cublas", "2048/int8", "2048/cublas-f16", "4096/cublas"])
        self.assertEqual((len(throughput.cells(check, "Q4_K_M")), len(throughput.cells(check, "F16"))), (12, 8))

    def test_lines_that_were_cut_off(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "lines")
            self.assertEqual(shell.read_lines(path), [])
            with open(path, "w") as f:
                f.write(json.dumps({"a": 1}) + "\n" + '{"a": 2')
            self.assertEqual(shell.read_lines(path), [{"a": 1}])
            with shell.open_lines(path) as f:
                f.write(b'{"a": 3}\n')
            self.assertEqual(shell.read_lines(path), [{"a": 1}, {"a": 3}])
            with shell.open_lines(path) as f:
                f.write(b'{"a": 4}\n')
            self.assertEqual(shell.read_lines(path), [{"a": 1}, {"a": 3}, {"a": 4}])

    def test_on_device(self):
        gpu = types.SimpleNamespace(dry=False)
        for device in ("CPU", ""):
            with self.assertRaises(shell.Stop):
                ratings.on_gpu(gpu, device)
        ratings.on_gpu(gpu, "NVIDIA H100")
        with self.assertRaises(shell.Stop):
            throughput.on_device(gpu, {"device": "CPU"})
        throughput.on_device(gpu, {"error": "no memory"})


if __name__ == "__main__":
    unittest.main()
