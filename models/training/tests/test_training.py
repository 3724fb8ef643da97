"""Training learns, its files are those of the database, and ONNX Runtime computes what numpy does."""

import hashlib
import json
import os

import numpy
import pytest

import aion_training.__main__ as command
from aion_training import Features, Options, export, predict, quantile_layers, read_rows, train
from aion_training.model_file import weights_of
from aion_training.network import gradients

from synthetic import WIDTH, lines_of

FEATURES = Features("subplan", 1, WIDTH)
OPTIONS = Options(hidden=(16, 16), epochs_max=60, learning_rate=1e-2)


@pytest.fixture(scope="session")
def trained(lines):
    return train(read_rows(lines), OPTIONS)


def test_learning_beats_the_estimate_on_later_rows_and_left_out_templates(trained):
    for part in (trained.by_time, trained.by_template):
        assert part["rows"] >= 100, part
        assert part["q_error_p50"] < 1.3 and part["q_error_p95"] < 8.0, part
        assert part["baseline_p50"] > 1.7 and part["baseline_p95"] > 40.0, part
    assert 0.6 < trained.coverage < 0.97
    assert trained.feature_low[4] == trained.feature_high[4] == 7.0


def test_the_same_seed_gives_the_same_file(lines, trained):
    again = train(read_rows(lines), OPTIONS)
    assert export(again.layers, FEATURES) == export(trained.layers, FEATURES)
    other = train(read_rows(lines), Options(**{**OPTIONS.__dict__, "seed": 2}))
    assert export(other.layers, FEATURES) != export(trained.layers, FEATURES)


def test_a_lower_bound_pushes_up_and_never_down():
    random = numpy.random.default_rng(3)

    def stopped(mark):
        rows = read_rows(lines_of(2000, 4))
        is_stopped = (random.uniform(size=len(rows)) < 2 / 3) & (rows.at < 566)
        rows.log2_ratio = rows.log2_ratio - is_stopped * random.uniform(2.0, 3.0, size=len(rows))
        rows.censored = is_stopped & mark
        return train(rows, Options(**{**OPTIONS.__dict__, "underestimate_weight": 1.0})).by_time["q_error_p50"]

    assert stopped(True) < 1.6
    assert stopped(False) > 2.5


def test_gradients_are_those_of_the_loss():
    random = numpy.random.default_rng(5)
    layers = [(random.normal(size=(3, 4)), random.normal(size=4)), (random.normal(size=(4, 3)), random.normal(size=3))]
    rows, truths = random.normal(size=(9, 3)), random.normal(size=9)
    known, row_weights = (random.uniform(size=9) < 0.5).astype(float), random.uniform(1, 3, size=9)
    _, by_layer = gradients(layers, rows, truths, known, row_weights)
    for layer, layer_gradients in zip(layers, by_layer):
        for array, gradient in zip(layer, layer_gradients):
            for at in numpy.ndindex(array.shape):
                sides = []
                for by in (1e-6, -2e-6):
                    array[at] += by
                    sides.append(gradients(layers, rows, truths, known, row_weights)[0])
                array[at] += 1e-6
                assert abs((sides[0] - sides[1]) / 2e-6 - gradient[at]) < 1e-5


def test_quantiles_never_cross_and_the_file_holds_them(trained):
    random = numpy.random.default_rng(6)
    layers = [(random.normal(size=(WIDTH, 8)), random.normal(size=8)), (random.normal(size=(8, 3)), random.normal(size=3))]
    rows = random.normal(size=(500, WIDTH))
    raw, kept = predict(layers, rows), predict(quantile_layers(layers), rows)
    assert (numpy.diff(raw, axis=1) < 0).any(), "the test shows nothing"
    assert (numpy.diff(kept, axis=1) >= 0).all()
    assert numpy.allclose(kept[:, 1], raw[:, 1], atol=1e-4)
    written = weights_of(export(trained.layers, FEATURES))
    for (weights, biases), (expected, expected_biases) in zip(written, trained.layers, strict=True):
        assert (weights == expected).all() and (biases == expected_biases).all()


def test_onnx_runtime_computes_what_numpy_does(lines, trained):
    try:
        import onnxruntime
    except ImportError:
        if os.environ.get("AION_REQUIRE_ONNXRUNTIME") == "1":
            raise
        pytest.skip("onnxruntime is not installed: parity was not checked")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        export(trained.layers, FEATURES, [("trained_by", "test")]), options, providers=["CPUExecutionProvider"]
    )
    assert [value.name for value in session.get_inputs()] == ["features"]
    assert session.get_modelmeta().custom_metadata_map["aion.features"] == "subplan"
    rows = read_rows(lines).features.astype(numpy.float32)
    outputs = session.run(["quantiles"], {"features": rows})[0]
    expected = predict(trained.layers, rows)
    assert outputs.shape == (len(rows), 3)
    assert (numpy.abs(outputs - expected) <= 1e-3 * numpy.maximum(numpy.abs(expected), 1)).all()
    assert (numpy.diff(outputs, axis=1) >= 0).all()


def test_what_the_database_would_refuse_is_not_written(trained):
    for features in (Features("subplan", 1, 5), Features("Sub plan", 1, WIDTH)):
        with pytest.raises(ValueError):
            export(trained.layers, features)
    with pytest.raises(ValueError, match="crossing"):
        export(trained.layers[:-1], FEATURES)
    weights, biases = trained.layers[0]
    with pytest.raises(ValueError, match="finite"):
        export([(weights * numpy.nan, biases), *trained.layers[1:]], FEATURES)


def test_rows_that_are_none_are_refused_with_their_line():
    good = b'{"features":[1.0],"log2_ratio":0,"censored":false,"at":1,"queryid":2}'
    assert len(read_rows(good)) == 1
    for wrong in (b"{", b"[]", good.replace(b"[1.0]", b"[1.0,2.0]"), good.replace(b"[1.0]", b"[NaN]"), good.replace(b"at", b"when")):
        with pytest.raises(ValueError, match="line 2"):
            read_rows(good + b"\n" + wrong)
    with pytest.raises(ValueError, match="no rows"):
        read_rows(b"\n")
    with pytest.raises(ValueError, match="too few"):
        train(read_rows(lines_of(100, 1)), OPTIONS)


def test_the_command_writes_a_model_and_its_manifest(lines, tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(lines)
    arguments = [str(rows), "--out", str(tmp_path / "out"), "--version", "3", "--parent", "2", "--epochs", "3"]
    assert command.main(arguments) == 0
    model = (tmp_path / "out" / "cardinality-3.onnx").read_bytes()
    manifest = json.loads((tmp_path / "out" / "cardinality-3.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(model).hexdigest() and manifest["bytes"] == len(model)
    assert manifest["lineage"] == {"parent": 2, "data_sha256": hashlib.sha256(lines).hexdigest()}
    assert manifest["features"] == {"name": "subplan", "version": 1, "count": WIDTH}
    assert len(manifest["feature_low"]) == WIDTH and manifest["stage"] == "training"
    # A version is given once.
    assert command.main(arguments) == 1
    assert "exists" in capsys.readouterr().err
    assert command.main([str(rows), "--out", str(tmp_path), "--version", "0"]) == 1
