"""Writes isotonic.json: random cases with the isotonic regression of scikit-learn.

Usage: python isotonic.py > isotonic.json     (scikit-learn 1.x)
"""
import json

import numpy as np
from sklearn.isotonic import IsotonicRegression

rng = np.random.default_rng(8)
cases = []
for _ in range(50):
    n = int(rng.integers(2, 40))
    x = np.round(rng.normal(size=n), int(rng.integers(0, 3))).astype(np.float32).astype(float)
    y = rng.random(n) < 1 / (1 + np.exp(-x * rng.choice([-2, 0, 2])))
    at = np.round(rng.normal(size=7) * 2, 2)
    case = {"x": x.tolist(), "keep": y.tolist(), "at": at.tolist()}
    for name, rising in (("rising", True), ("falling", False)):
        m = IsotonicRegression(increasing=rising, out_of_bounds="clip").fit(x, y.astype(float))
        case[name] = m.predict(at).tolist()
        case[name + "_squares"] = float(((m.predict(x) - y) ** 2).sum())
    cases.append(case)
print(json.dumps(cases))
