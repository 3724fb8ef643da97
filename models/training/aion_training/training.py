"""Training: the steps of models/learn/src/train.rs, in numpy.

1. The newest rows are split: a tenth of the templates is left out, the rest is split by time into 70 % that train, 15 % that say when
   to stop, and 15 % that judge. A random split would leak: the executions of one statement are almost alike.
2. Features are standardised over the rows that train, and the first layer takes that over at the end.
3. AdamW on the pinball loss; rows whose classical estimate was too low count three times.
4. The weights with the least loss on the validation rows are kept.
5. The model is judged on the later rows and on those of the left-out templates.
"""

import time
from dataclasses import dataclass, field

import numpy

from .network import AdamW, forward, gradients, predict, quantile_layers

BATCH_ROWS = 128
ROWS_MIN = 100
HELD_OUT_MIN = 10
LAST_STEP = 0.05


@dataclass
class Options:
    """How to train; the defaults are those of models/learn."""

    seed: int = 1
    hidden: tuple = (64, 64)
    epochs_max: int = 100
    patience: int = 12
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    underestimate_weight: float = 3.0
    rows_max: int = 100_000
    time_max: float = 600.0


@dataclass
class Trained:
    """Layers as `export` takes them, and what they are worth."""

    layers: list
    train_rows: int
    epochs: int
    best_epoch: int
    by_time: dict
    by_template: dict | None
    coverage: float
    feature_low: list = field(default_factory=list)
    feature_high: list = field(default_factory=list)


def split(rows, rows_max, random):
    """Train, validation, test and templates, each in the order of time."""
    rows = rows.take(slice(max(len(rows) - rows_max, 0), None))
    templates, counts = numpy.unique(rows.queryid, return_counts=True)
    left_out = []
    if len(templates) >= 10:
        room = len(rows) // 5
        for at in random.permutation(len(templates)):
            if len(left_out) < -(-len(templates) // 10) and counts[at] <= room:
                left_out.append(templates[at])
                room -= counts[at]
    is_left_out = numpy.isin(rows.queryid, left_out)
    rest = rows.take(~is_left_out)

    def boundary(at):
        # Rows of one moment stay together, unless they are very many.
        for near in range(at, min(at + len(rest) // 20, len(rest) - 1) + 1):
            if near == 0 or rest.at[near] != rest.at[near - 1]:
                return near
        return at

    first = boundary(len(rest) * 70 // 100)
    second = max(boundary(len(rest) * 85 // 100), first)
    return rest.take(slice(0, first)), rest.take(slice(first, second)), rest.take(slice(second, None)), rows.take(is_left_out)


def q_errors(truths, predicted):
    """The median and the 95th percentile with the model and without it; None of no rows."""
    if not len(truths):
        return None

    def percentiles(missed):
        ordered = numpy.sort(2.0 ** numpy.abs(missed))
        rank = lambda of_hundred: ordered[max(-(-len(ordered) * of_hundred // 100), 1) - 1]  # noqa: E731
        return float(rank(50)), float(rank(95))

    p50, p95 = percentiles(truths - predicted)
    baseline_p50, baseline_p95 = percentiles(truths)
    return {
        "rows": len(truths),
        "q_error_p50": p50,
        "q_error_p95": p95,
        "baseline_p50": baseline_p50,
        "baseline_p95": baseline_p95,
    }


def train(rows, options=None):
    """Trains on rows in the order of time. Raises ValueError with too few of them, or where training diverges."""
    options = options or Options()
    random = numpy.random.default_rng(options.seed)
    parts = split(rows, options.rows_max, random)
    for part, least, what_for in zip(parts, [ROWS_MIN, HELD_OUT_MIN, HELD_OUT_MIN], ["train", "stop", "judge"]):
        known = int((~part.censored).sum())
        if known < least:
            raise ValueError(f"{known} rows with a known count are too few to {what_for} by: it takes {least}")
    training, validation, test, templates = parts
    mean = training.features.mean(axis=0)
    deviation = training.features.std(axis=0)
    varies = deviation > 1e-6 * numpy.maximum(numpy.abs(mean), 1e-3)
    scale = numpy.where(varies, 1.0 / numpy.where(varies, deviation, 1.0), 0.0)
    layers, epochs, best_epoch = _fit(training, validation, (mean, scale), options, random)
    weights, biases = layers[0]
    layers[0] = (weights * scale[:, None], biases - (mean * scale) @ weights)
    layers = quantile_layers(layers)

    def judge(part):
        part = part.take(~part.censored)
        outputs = predict(layers, part.features) if len(part) else numpy.zeros((0, 3))
        within = (outputs[:, 0] <= part.log2_ratio) & (part.log2_ratio <= outputs[:, 2])
        return q_errors(part.log2_ratio, outputs[:, 1]), float(within.mean()) if len(part) else 0.0

    by_time, coverage = judge(test)
    return Trained(
        layers=layers,
        train_rows=len(training),
        epochs=epochs,
        best_epoch=best_epoch,
        by_time=by_time,
        by_template=judge(templates)[0],
        coverage=coverage,
        feature_low=numpy.float32(training.features.min(axis=0)).tolist(),
        feature_high=numpy.float32(training.features.max(axis=0)).tolist(),
    )


def _fit(training, validation, standard, options, random):
    mean, scale = standard

    def tensors(part):
        row_weights = numpy.where(part.log2_ratio > 0, options.underestimate_weight, 1.0)
        return (part.features - mean) * scale, part.log2_ratio, (~part.censored).astype(float), row_weights

    inputs, truths, known, row_weights = tensors(training)
    held_out = tensors(validation)
    widths = [inputs.shape[1], *options.hidden, 3]
    layers = []
    for before, after in zip(widths, widths[1:]):
        # He et al., ICCV 2015.
        bound = numpy.sqrt(6.0 / before)
        layers.append((random.uniform(-bound, bound, (before, after)), numpy.zeros(after)))
    optimizer = AdamW(layers, options.weight_decay)
    start = time.monotonic()
    copy = lambda: [(weights.copy(), biases.copy()) for weights, biases in layers]  # noqa: E731
    best, best_epoch, epoch = copy(), 0, 0
    least = gradients(layers, *held_out)[0]
    for epoch in range(1, options.epochs_max + 1):
        done = (epoch - 1) / options.epochs_max
        rate = options.learning_rate * (1 - (1 - LAST_STEP) * done)
        order = random.permutation(len(truths))
        for first in range(0, len(order), BATCH_ROWS):
            rows = order[first : first + BATCH_ROWS]
            _, by_layer = gradients(layers, inputs[rows], truths[rows], known[rows], row_weights[rows])
            optimizer.step(by_layer, rate)
        loss = gradients(layers, *held_out)[0]
        if not numpy.isfinite(loss) or not numpy.isfinite(forward(layers, held_out[0])[1]).all():
            raise ValueError("training diverged: take a lower learning rate")
        if loss < least:
            least, best, best_epoch = loss, copy(), epoch
        if epoch - best_epoch >= options.patience or time.monotonic() - start > options.time_max:
            break
    return best, epoch, best_epoch
