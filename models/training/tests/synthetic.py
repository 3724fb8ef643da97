"""Rows whose truth is known."""

import json

import numpy

WIDTH = 6


def truth(features):
    """How far the estimate is off: correlated predicates (0 and 1) and a skewed join key (2). Feature 4 never varies."""
    correlated = numpy.where((features[:, 0] > 0.5) & (features[:, 1] > 0.5), 4.0, -0.5)
    return correlated + 3.0 * features[:, 2] ** 2 + 0.5 * (features[:, 5] - 1000.0)


def lines_of(count, seed):
    random = numpy.random.default_rng(seed)
    features = random.uniform(size=(count, WIDTH))
    features[:, 4] = 7.0
    features[:, 5] += 1000.0
    ratios = truth(features) + random.normal(scale=0.2, size=count)
    rows = [
        {
            "features": row.tolist(),
            "log2_ratio": ratio,
            "censored": False,
            "at": at // 3,
            "queryid": at // 3 % 30 - 15,
        }
        for at, (row, ratio) in enumerate(zip(features, ratios))
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
