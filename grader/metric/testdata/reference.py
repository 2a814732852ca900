"""Writes reference.json: what scipy and scikit-learn say of random cases.

pip install scipy scikit-learn; python reference.py > reference.json
"""
import json
import math
import warnings

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, cohen_kappa_score, confusion_matrix, roc_auc_score

warnings.simplefilter("ignore")  # of undefined figures: they are null here
rng = np.random.default_rng(20240711)
CASES = 50


def plain(x):
    x = float(x)
    return None if math.isnan(x) else x


def numbers(kind, n):
    """Kind 0 has no ties, 1 few values, 2 halves up to 5, 3 two values, 4 far from 0."""
    return [
        lambda: rng.normal(size=n).round(6),
        lambda: rng.integers(0, 4, n).astype(float),
        lambda: rng.integers(0, 11, n) / 2,
        lambda: rng.integers(0, 2, n).astype(float),
        lambda: 1e6 + rng.normal(size=n).round(3),
    ][kind]()


pairs = []
for c in range(CASES):
    n = [2, 3, 5, 17, 60][c // 5 % 5]
    x = numbers(c % 5, n)
    y = numbers((c // 5) % 5, n)
    if c % 3 == 0:  # related
        y = np.round(x + 0.3 * y, 4)
    if c == 47:
        y = np.full(n, 0.1)  # constant
    pairs.append({
        "x": x.tolist(), "y": y.tolist(),
        "pearson": plain(stats.pearsonr(x, y).statistic),
        "spearman": plain(stats.spearmanr(x, y).statistic),
        "kendall": plain(stats.kendalltau(x, y).statistic),
    })

auc = []
for c in range(CASES):
    n = [4, 9, 30, 60][c % 4]
    positive = rng.random(n) < 0.4
    positive[:2] = [True, False]
    scores = numbers(c % 5, n) + (positive * (c % 3)).astype(float)
    auc.append({"scores": scores.tolist(), "positive": positive.tolist(), "auc": plain(roc_auc_score(positive, scores))})

kappa = []
for c in range(CASES):
    k, n = [2, 3, 5, 11][c % 4], [3, 10, 80][c % 3]
    a = rng.integers(0, k, n)
    b = np.where(rng.random(n) < 0.5, a, rng.integers(0, k, n))
    if c == 49:
        a = b = np.zeros(n, int)
    labels = list(range(k))
    kappa.append({
        "counts": confusion_matrix(a, b, labels=labels).tolist(),
        "plain": plain(cohen_kappa_score(a, b, labels=labels)),
        "quadratic": plain(cohen_kappa_score(a, b, labels=labels, weights="quadratic")),
    })

calibration = []
for c in range(CASES):
    n = [1, 5, 40, 90][c % 4]
    if c % 2:  # on the bins' limits, which are exact in binary
        bins, p = [2, 4, 8, 16][c // 2 % 4], rng.integers(0, 17, n) / 16
    else:
        bins, p = [1, 7, 10, 15][c // 2 % 4], rng.random(n).round(5)
    outcome = rng.random(n) < p**1.5
    outcome_true, predicted = calibration_curve(outcome, p, n_bins=bins)
    edges = np.linspace(0, 1, bins + 1)
    count = np.bincount(np.searchsorted(edges[1:-1], p), minlength=bins)
    ece = (np.abs(outcome_true - predicted) * count[count > 0]).sum() / n
    calibration.append({"probs": p.tolist(), "outcomes": outcome.tolist(), "bins": bins, "error": plain(ece)})

quantile = []
for c in range(CASES):
    v = np.sort(numbers(c % 5, [1, 2, 7, 40][c % 4]))
    q = [0.0, 0.025, 0.5, 0.9, 1.0][c // 5 % 5]
    quantile.append({"sorted": v.tolist(), "q": q, "value": plain(np.quantile(v, q))})

ranking = []  # with weights, as a resample has them
for c in range(CASES):
    n = [4, 9, 30, 60][c % 4]
    positive = rng.random(n) < 0.4
    positive[:2] = [True, False]
    scores = numbers(c % 5, n) + (positive * (c % 3)).astype(float)
    weights = rng.integers(0, 4, n)
    weights[:2] = [1, 2]
    ranking.append({
        "scores": scores.tolist(), "positive": positive.tolist(), "weights": weights.tolist(),
        "auc": plain(roc_auc_score(positive, scores, sample_weight=weights)),
        "precision": plain(average_precision_score(positive, scores)),
        "weighted_precision": plain(average_precision_score(positive, scores, sample_weight=weights)),
    })

reliability = []  # each record as often as its weight says
for case in calibration:
    p, outcome = np.array(case["probs"]), np.array(case["outcomes"])
    weights = rng.integers(0, 4, len(p))
    weights[0] = 1
    p_many, outcome_many = np.repeat(p, weights), np.repeat(outcome, weights)
    outcome_true, predicted = calibration_curve(outcome_many, p_many, n_bins=case["bins"])
    edges = np.linspace(0, 1, case["bins"] + 1)
    count = np.bincount(np.searchsorted(edges[1:-1], p_many), minlength=case["bins"])
    ece = (np.abs(outcome_true - predicted) * count[count > 0]).sum() / len(p_many)
    reliability.append({"probs": case["probs"], "outcomes": case["outcomes"], "bins": case["bins"], "weights": weights.tolist(), "error": plain(ece)})

sections = {"pairs": pairs, "auc": auc, "kappa": kappa, "calibration": calibration, "quantile": quantile,
            "ranking": ranking, "reliability": reliability}
print('{"made_with": "scipy %s, scikit-learn %s, numpy %s"' % (scipy.__version__, sklearn.__version__, np.__version__))
for name, cases in sections.items():
    print(',"%s": [' % name)
    print(",\n".join(json.dumps(case) for case in cases))
    print("]")
print("}")
