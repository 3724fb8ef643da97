"""python -m aion_training rows.jsonl --out DIRECTORY --version N

Trains on exported rows and writes NAME-N.onnx with its manifest NAME-N.json. Put both into the directory of models of a stopped
database, or hand them to it as its manual says: it checks them again. The stage is `training`: the database measures it in shadow
before it is used.
"""

import argparse
import hashlib
import json
import pathlib
import sys
import time

from .model_file import OPSET, Features, check_name, export
from .rows import read_rows
from .training import Options, train


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="aion_training", description=__doc__)
    parser.add_argument("rows", type=pathlib.Path, help="JSON lines as the database exports them")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the directory of the files that are written")
    parser.add_argument("--version", type=int, required=True, help="of the model, from 1: one that the database has not got")
    parser.add_argument("--name", default="cardinality")
    parser.add_argument("--features", default="subplan", help="the name of the set of features")
    parser.add_argument("--features-version", type=int, default=1)
    parser.add_argument("--parent", type=int, help="the version that it is meant to replace")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=100)
    parsed = parser.parse_args(arguments)
    try:
        check_name("model", parsed.name)
        if parsed.version < 1:
            raise ValueError("versions count from 1")
        rows = read_rows(parsed.rows.read_bytes())
        trained = train(rows, Options(seed=parsed.seed, epochs_max=parsed.epochs))
        features = Features(parsed.features, parsed.features_version, rows.features.shape[1])
        model = export(trained.layers, features)
        paths = write(parsed, rows, trained, features, model, time.time_ns() // 1_000)
    except (OSError, ValueError) as error:
        print(f"aion_training: {error}", file=sys.stderr)
        return 1
    for path in paths:
        print(path)
    print(f"later rows: {trained.by_time}")
    print(f"left-out templates: {trained.by_template}")
    return 0


def write(parsed, rows, trained, features, model, trained_at):
    """The two files. One that exists is not written over: a version is given once."""
    manifest = {
        "aion_model": 1,
        "name": parsed.name,
        "version": parsed.version,
        "purpose": "cardinality",
        "stage": "training",
        "sha256": hashlib.sha256(model).hexdigest(),
        "bytes": len(model),
        "features": {"name": features.name, "version": features.version, "count": features.count},
        "feature_low": trained.feature_low,
        "feature_high": trained.feature_high,
        "outputs": 3,
        "opset": OPSET,
        "trained_at": trained_at,
        "train_rows": trained.train_rows,
        "test_rows": trained.by_time["rows"],
        "q_error_p50": trained.by_time["q_error_p50"],
        "q_error_p95": trained.by_time["q_error_p95"],
        "baseline_p50": trained.by_time["baseline_p50"],
        "baseline_p95": trained.by_time["baseline_p95"],
        "seed": parsed.seed,
        "lineage": {"parent": parsed.parent, "data_sha256": rows.sha256},
        "last_error": None,
    }
    parsed.out.mkdir(parents=True, exist_ok=True)
    stem = parsed.out / f"{parsed.name}-{parsed.version}"
    paths = [stem.with_name(f"{stem.name}.onnx"), stem.with_name(f"{stem.name}.json")]
    for path, content in zip(paths, [model, (json.dumps(manifest, indent=2, allow_nan=False) + "\n").encode()]):
        with open(path, "xb") as file:
            file.write(content)
    return paths


if __name__ == "__main__":
    sys.exit(main())
