"""The model file: the form of ONNX that models/registry/src/onnx/mod.rs specifies, to the byte, written without a library.

The database accepts no other form, so a model that was trained elsewhere comes in by `export(quantile_layers(layers), features)`.
"""

import re
import struct
from dataclasses import dataclass

import numpy

from .network import JOIN

IR_VERSION = 8
OPSET = 17
FLOAT = 1
BYTES_MAX = 16 << 20
LAYERS_MAX = 8
WIDTH_MAX = 1024
PARAMETERS_MAX = 1 << 20


@dataclass(frozen=True)
class Features:
    """A set of features: its name, and its version, which is counted up when what a feature means changes."""

    name: str
    version: int
    count: int


def check_name(of, name):
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,47}", name):
        raise ValueError(f"{name!r} is no name of a {of}: up to 48 lower-case letters, digits, - and _, a letter first")


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def message(field, *parts):
    content = b"".join(parts)
    return varint(field << 3 | 2) + varint(len(content)) + content


def text(field, value):
    return message(field, value.encode())


def _node(inputs, output, operator):
    return message(1, *(text(1, name) for name in inputs), text(2, output), text(4, operator))


def _tensor(name, array):
    dims = b"".join(number(1, size) for size in array.shape)
    raw = numpy.ascontiguousarray(array, dtype="<f4").tobytes()
    return message(5, dims, number(2, FLOAT), text(8, name), message(9, raw))


def _value(field, name, width):
    shape = message(2, message(1, text(2, "batch")), message(1, number(1, width)))
    return message(field, text(1, name), message(2, message(1, number(1, FLOAT), shape)))


def _check(layers, features):
    check_name("set of features", features.name)
    if not 1 <= len(layers) <= LAYERS_MAX or layers[0][0].shape[0] != features.count:
        raise ValueError(f"{len(layers)} layers do not fit {features.count} features")
    width = features.count
    for weights, biases in layers:
        if weights.ndim != 2 or weights.shape[0] != width or biases.shape != weights.shape[1:]:
            raise ValueError(f"a layer of shape {weights.shape} with {biases.shape} biases does not follow one of {width}")
        if not 1 <= width <= WIDTH_MAX or not 1 <= weights.shape[1] <= WIDTH_MAX:
            raise ValueError(f"a layer of shape {weights.shape} is not within {WIDTH_MAX}")
        if not (numpy.isfinite(weights).all() and numpy.isfinite(biases).all()):
            raise ValueError("a weight is not a finite number")
        width = weights.shape[1]
    if sum(weights.size + biases.size for weights, biases in layers) > PARAMETERS_MAX:
        raise ValueError(f"it has more than {PARAMETERS_MAX} weights")
    last, zeros = layers[-1]
    if len(layers) < 2 or last.tobytes() != JOIN.tobytes() or zeros.any():
        raise ValueError("its last layer is not the one that keeps quantiles from crossing: use quantile_layers")


def export(layers, features, metadata=()):
    """The bytes of the file; `metadata` are further pairs of texts. Raises ValueError for what the database would refuse."""
    layers = [(numpy.float32(weights), numpy.float32(biases)) for weights, biases in layers]
    _check(layers, features)
    nodes, tensors = [], []
    before = "features"
    for at, (weights, biases) in enumerate(layers):
        is_last = at + 1 == len(layers)
        after = "quantiles" if is_last else f"gemm_{at}"
        nodes.append(_node([before, f"weights_{at}", f"biases_{at}"], after, "Gemm"))
        if not is_last:
            before = f"relu_{at}"
            nodes.append(_node([after], before, "Relu"))
        tensors += [_tensor(f"weights_{at}", weights), _tensor(f"biases_{at}", biases)]
    entries = [("aion.features", features.name), ("aion.features_version", str(features.version)), *metadata]
    model = b"".join(
        [
            number(1, IR_VERSION),
            text(2, "aion"),
            message(8, number(2, OPSET)),
            *(message(14, text(1, key), text(2, value)) for key, value in entries),
            message(
                7,
                *nodes,
                text(2, "mlp"),
                *tensors,
                _value(11, "features", features.count),
                _value(12, "quantiles", layers[-1][0].shape[1]),
            ),
        ]
    )
    if len(model) > BYTES_MAX:
        raise ValueError(f"its {len(model)} bytes are more than {BYTES_MAX}")
    return model


def weights_of(model):
    """The layers of a file that `export` wrote, for tests: finds the tensors by walking the graph."""

    def fields(content):
        at = 0

        def take():
            nonlocal at
            value = shift = 0
            while True:
                byte = content[at]
                at += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    return value

        while at < len(content):
            tag = take()
            value = take()
            if tag & 7 == 2:
                start, at = at, at + value
                value = content[start:at]
            yield tag >> 3, value

    graph = next(value for field, value in fields(model) if field == 7)
    arrays = []
    for field, tensor in fields(graph):
        if field == 5:
            parts = list(fields(tensor))
            dims = [value for field, value in parts if field == 1]
            raw = next(value for field, value in parts if field == 9)
            arrays.append(numpy.array(struct.unpack(f"<{len(raw) // 4}f", raw), dtype=numpy.float32).reshape(dims))
    return list(zip(arrays[::2], arrays[1::2]))
