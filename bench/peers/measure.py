"""What the Python programs share: their flags, the clock, the output line."""
import argparse
import json
import os
import re
import statistics
import time

DIGITS = "012345"


def arguments(ways):
    p = argparse.ArgumentParser()
    p.add_argument("--job", required=True, help="job.json of job.py")
    p.add_argument("--model", required=True, help="GGUF file")
    p.add_argument("--way", required=True, choices=ways)
    p.add_argument("--threads", type=int, required=True)
    p.add_argument("--records", type=int, required=True, help="only the first N of the job")
    p.add_argument("--repeats", type=int, default=1, help="time N times and report the median")
    p.add_argument("--flash", choices=("on", "off"), default="on")
    p.add_argument("--ratings", required=True, help="file for the ratings: a JSON array, null where there is none")
    args = p.parse_args()
    with open(args.job, encoding="utf-8") as f:
        job = json.load(f)
    job["users"] = job["users"][: args.records]
    return args, job


def score_of(text):
    """The number on the first line of an answer, or None: AlpaGasus's way."""
    lines = text.strip().splitlines()
    found = re.search(r"\d+(?:\.\d+)?", lines[0]) if lines else None
    return float(found.group()) if found and float(found.group()) <= 5 else None


def expected(weights):
    """The expected digit, given weights of "0" to "5" on any common scale."""
    total = sum(weights)
    return sum(d * w for d, w in enumerate(weights)) / total


def report(args, peer, version, way, run, repeats, notes):
    """Calls run() once for each repeat, and prints the result as one line of JSON.

    run returns the ratings and the number of tokens evaluated.
    """
    took = []
    for _ in range(repeats):
        start = time.perf_counter()
        ratings, tokens = run()
        took.append(time.perf_counter() - start)
    seconds = statistics.median(took)
    given = [r for r in ratings if r is not None]
    with open(args.ratings, "w", encoding="utf-8") as f:
        json.dump(ratings, f)
    print(json.dumps({
        "peer": peer, "version": version, "way": way, "model": os.path.basename(args.model), "records": len(ratings),
        "threads": args.threads, "seconds": round(seconds, 3), "records_per_s": round(len(ratings) / seconds, 4),
        "tokens_evaluated": tokens, "parsed": len(given),
        "mean_rating": round(statistics.mean(given), 4) if given else None, "notes": notes}))
