"""python models/training/make_fixture.py: writes models/artifacts/synthetic-1.{onnx,json} and its golden rows.

The tests of models/registry and models/onnx read them: that what Python writes is what the database reads, and predicts.
"""

import argparse
import json
import pathlib

import numpy

from aion_training import Features, Options, export, predict, read_rows, train
from aion_training.__main__ import write

OUT = pathlib.Path(__file__).resolve().parent.parent / "artifacts"
WIDTH = 8


def rows():
    """Logarithms of rows and flags, as sub-plans have them; what is missed depends on both."""
    random = numpy.random.default_rng(42)
    for at in range(1500):
        features = [*random.uniform(0, 24, size=4).round(3), *random.integers(0, 2, size=4).astype(float)]
        missed = 0.2 * features[0] - 2.0 * features[4] * features[5] + random.normal(scale=0.3)
        row = {"features": features, "log2_ratio": missed, "censored": False, "at": at, "queryid": at % 25}
        yield json.dumps(row)


def main():
    parsed = read_rows("\n".join(rows()).encode())
    trained = train(parsed, Options(hidden=(32, 32)))
    features = Features("synthetic", 1, WIDTH)
    model = export(trained.layers, features, [("trained_by", "models/training/make_fixture.py")])
    for suffix in ("onnx", "json"):
        (OUT / f"synthetic-1.{suffix}").unlink(missing_ok=True)
    named = argparse.Namespace(name="synthetic", version=1, parent=None, seed=1, out=OUT)
    write(named, parsed, trained, features, model, 1_796_000_000_000_000)
    some = parsed.features[:32].astype(numpy.float32)
    golden = {"rows": some.ravel().tolist(), "expected": predict(trained.layers, some).ravel().tolist()}
    (OUT / "synthetic-1.golden.json").write_text(json.dumps(golden) + "\n")
    print(trained.by_time, trained.coverage)


if __name__ == "__main__":
    main()
