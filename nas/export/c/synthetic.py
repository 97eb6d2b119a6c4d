"""Networks with random weights, straight from their graph: what they cost on a core depends on their shapes alone.

A file of the converter takes some seconds, this some milliseconds.
"""

from __future__ import annotations

import math

import numpy as np

from nas.cost.lowering import lower
from nas.export.c.source import Source, TensorGrid
from nas.models.int8 import QMIN
from nas.space.graph import Graph, OpKind

SCALE = 0.05  # of the input
DEVIATION = 74  # of evenly distributed int8 values
PROBABILITY = TensorGrid(np.array([1 / 256], np.float32), QMIN)  # which TFLM wants of a softmax


def synthetic_source(graph: Graph, seed: int) -> Source:
    """A network whose values spread over their grids, so that clamps are as rare as in a trained one."""
    rng, model = np.random.default_rng(seed), lower(graph, 0)
    grids = {0: _grid(SCALE, 0)}
    data = {}
    for op, lowered in zip(graph.ops, model.ops, strict=True):
        x = grids[op.inputs[0]]
        grids[op.output] = PROBABILITY if op.kind is OpKind.SOFTMAX else x
        if op.weight_count:
            weights, bias = (model.tensors[tensor] for tensor in lowered.inputs[1:3])
            terms = op.weight_count // op.bias_count
            scales = rng.uniform(0.5, 1.5, weights.scales) / (
                DEVIATION * math.sqrt(terms)
            )  # outputs spread as inputs do
            for tensor, shape in zip(lowered.inputs[1:3], (weights.shape, bias.shape), strict=True):
                grids[tensor] = TensorGrid(scales.astype(np.float32), 0)
                data[tensor] = rng.integers(-127, 128, shape).astype("int8" if tensor == lowered.inputs[1] else "<i4")
            grids[op.output] = _grid(x.scale, QMIN if op.relu else 0)
        elif op.kind is OpKind.PAD:
            behind = graph.shapes[op.output][-1] - graph.shapes[op.inputs[0]][-1]
            data[lowered.inputs[1]] = np.array([[0, 0], [0, 0], [0, 0], [0, behind]], "<i4")
    tensors = range(len(model.tensors))
    constants = tuple(data[tensor].tobytes() if tensor in data else b"" for tensor in tensors)
    return Source(model, tuple(grids.get(tensor) for tensor in tensors), constants)


def _grid(scale: float, zero_point: int) -> TensorGrid:
    return TensorGrid(np.array([scale], np.float32), zero_point)
