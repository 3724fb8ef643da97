"""The perceptron: layers (weights[inputs, outputs], biases[outputs]) with ReLU between them."""

import numpy

LEVELS = numpy.array([0.1, 0.5, 0.9])
# From relu of (m, -m, m - l, h - m) to low, median and high: models/registry/src/mlp.rs says why they cannot cross.
JOIN = numpy.array([[1, 1, 1], [-1, -1, -1], [-1, 0, 0], [0, 0, 1]], dtype=numpy.float32)


def forward(layers, rows):
    """The inputs of each layer, and the outputs of the last one."""
    inputs = []
    values = rows
    for at, (weights, biases) in enumerate(layers):
        inputs.append(values)
        values = values @ weights + biases
        if at + 1 < len(layers):
            values = numpy.maximum(values, 0)
    return inputs, values


def predict(layers, rows):
    """The outputs for rows."""
    return forward(layers, numpy.asarray(rows, dtype=numpy.float32))[1]


def gradients(layers, rows, truths, known, row_weights):
    """The mean pinball loss and its gradients by layer. Of a row with a lower bound only a prediction below it counts."""
    inputs, predicted = forward(layers, rows)
    missed = truths[:, None] - predicted
    total = row_weights.sum() * len(LEVELS)
    too_low = numpy.maximum(missed, 0) * LEVELS
    too_high = numpy.maximum(-missed, 0) * (1 - LEVELS) * known[:, None]
    loss = ((too_low + too_high) * row_weights[:, None]).sum() / total
    slope = numpy.where(missed > 0, -LEVELS, numpy.where(missed < 0, (1 - LEVELS) * known[:, None], 0.0))
    slope = slope * row_weights[:, None] / total
    by_layer = []
    for at in range(len(layers) - 1, -1, -1):
        by_layer.append((inputs[at].T @ slope, slope.sum(axis=0)))
        if at > 0:
            slope = (slope @ layers[at][0].T) * (inputs[at] > 0)
    return loss, by_layer[::-1]


class AdamW:
    """Loshchilov and Hutter, ICLR 2019; changes the layers in place."""

    def __init__(self, layers, weight_decay):
        self.parameters = [array for layer in layers for array in layer]
        self.first = [numpy.zeros_like(array) for array in self.parameters]
        self.second = [numpy.zeros_like(array) for array in self.parameters]
        self.weight_decay = weight_decay
        self.steps = 0

    def step(self, by_layer, rate):
        self.steps += 1
        flat = [array for layer in by_layer for array in layer]
        for parameter, gradient, first, second in zip(self.parameters, flat, self.first, self.second):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient * gradient - second)
            unbiased = first / (1 - 0.9**self.steps)
            deviation = numpy.sqrt(second / (1 - 0.999**self.steps)) + 1e-8
            parameter *= 1 - rate * self.weight_decay
            parameter -= rate * unbiased / deviation


def quantile_layers(layers):
    """The layers of a file from trained ones, whose last gives low, median and high: two layers that keep these from crossing."""
    *hidden, (weights, biases) = [(numpy.float32(weights), numpy.float32(biases)) for weights, biases in layers]

    def split(of):
        low, median, high = of[..., 0], of[..., 1], of[..., 2]
        return numpy.stack([median, -median, median - low, high - median], axis=-1)

    return [*hidden, (split(weights), split(biases)), (JOIN.copy(), numpy.zeros(3, dtype=numpy.float32))]
