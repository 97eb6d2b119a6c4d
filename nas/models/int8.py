"""The INT8 network as integers in torch: every value that a device computes, equal to TFLM's bit for bit.

So quantisation can be studied and trained where tensors are at hand, and a runtime that disagrees can be asked at which
layer it begins to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nas.fixed_point import quantized_multipliers, rescaled
from nas.fixed_point_softmax import softmax, softmax_scale
from nas.space.graph import Graph, Op, OpKind, same_padding

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

QMIN, QMAX = -128, 127
ADD_SHIFT = 20  # bits that ADD shifts its inputs by before it rescales them (TFLite: kernels/add.cc)


@dataclass(frozen=True, slots=True)
class Grid:
    """Real value = ``scale * (q - zero_point)`` of the int8 values of one activation tensor."""

    scale: float
    zero_point: int

    def real(self, values: np.ndarray[Any, np.dtype[np.int8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """What int8 ``values`` stand for."""
        return np.float32(self.scale) * (values.astype(np.float32) - self.zero_point)

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest real value."""
        return self.scale * (QMIN - self.zero_point), self.scale * (QMAX - self.zero_point)


@dataclass(frozen=True, slots=True)
class Int8Weights:
    """Constants of one operator, in the layout of TFLite: see ``Op.weight_shape``."""

    values: np.ndarray[Any, np.dtype[np.int8]]
    biases: np.ndarray[Any, np.dtype[np.int32]]
    scales: FloatArray
    """One per output channel, or one in all."""


@dataclass(frozen=True, slots=True)
class Int8Model:
    """A quantised network: the graph, a grid for each of its tensors, the weights of each operator that has some."""

    graph: Graph
    grids: tuple[Grid, ...]
    weights: dict[str, Int8Weights]
    """By operator name."""


@torch.inference_mode()
def run_int8(model: Int8Model, inputs: np.ndarray[Any, np.dtype[np.int8]]) -> list[np.ndarray[Any, np.dtype[np.int8]]]:
    """Every tensor of the graph for ``inputs`` (n, h, w, c); the last one is the output (n, k)."""
    values: dict[int, Tensor] = {0: torch.from_numpy(inputs.astype(np.int64))}
    for op in model.graph.ops:
        out = KERNELS[op.kind](model, op, *(values[tensor] for tensor in op.inputs))
        low = model.grids[op.output].zero_point if op.relu else QMIN
        values[op.output] = out.clamp(max(low, QMIN), QMAX)
    return [values[tensor].numpy().astype(np.int8) for tensor in range(len(model.graph.shapes))]


def _convolution(model: Int8Model, op: Op, x: Tensor) -> Tensor:
    """(n, h, w, c) -> (n, h', w', c'); padding is the zero point."""
    depthwise = op.kind is OpKind.DEPTHWISE_CONV_2D
    maps = _centred(model, op, x).permute(0, 3, 1, 2)
    pads = [same_padding(size, k, s) for size, k, s in zip(maps.shape[2:], op.kernel, op.stride, strict=True)]
    maps = F.pad(maps, (*pads[1], *pads[0]))
    kernel = torch.from_numpy(model.weights[op.name].values.astype(np.float64))
    kernel = kernel.permute(3, 0, 1, 2) if depthwise else kernel.permute(0, 3, 1, 2)
    sums = F.conv2d(maps, kernel, stride=op.stride, groups=maps.shape[1] if depthwise else 1)
    return _rescaled(model, op, sums.permute(0, 2, 3, 1))


def _dense(model: Int8Model, op: Op, x: Tensor) -> Tensor:
    """(n, ...) -> (n, width)."""
    kernel = torch.from_numpy(model.weights[op.name].values.astype(np.float64))
    return _rescaled(model, op, _centred(model, op, x).flatten(1) @ kernel.T)


def _centred(model: Int8Model, op: Op, x: Tensor) -> Tensor:
    """The input less its zero point; float64 holds every sum exactly, and convolves faster than int64."""
    return (x - model.grids[op.inputs[0]].zero_point).double()


def _rescaled(model: Int8Model, op: Op, sums: Tensor) -> Tensor:
    """Sums of products, with biases, on the grid of the output."""
    weights, source, target = model.weights[op.name], model.grids[op.inputs[0]], model.grids[op.output]
    biased = sums.long() + torch.from_numpy(weights.biases.astype(np.int64))
    return _scaled(biased, source.scale * weights.scales / target.scale) + target.zero_point


def _scaled(sums: Tensor, factors: FloatArray) -> Tensor:
    """Sums (..., channels) times factors, one for all or one per channel."""
    return torch.from_numpy(rescaled(sums.numpy(), *quantized_multipliers(factors)))


def _add(model: Int8Model, op: Op, x: Tensor, y: Tensor) -> Tensor:
    """Both inputs on a common fine grid, their sum on that of the output."""
    grids, target = [model.grids[tensor] for tensor in op.inputs], model.grids[op.output]
    common = 2 * max(grid.scale for grid in grids)
    parts = [
        _scaled((value - grid.zero_point) << ADD_SHIFT, np.array([grid.scale / common]))
        for value, grid in zip((x, y), grids, strict=True)
    ]
    return _scaled(parts[0] + parts[1], np.array([common / ((1 << ADD_SHIFT) * target.scale)])) + target.zero_point


def _average_pool(model: Int8Model, op: Op, x: Tensor) -> Tensor:
    """(n, h, w, c) -> mean over windows of the kernel's size, halves away from zero; the grid stays."""
    n, h, w, c = x.shape
    (kh, kw), count = op.kernel, op.kernel[0] * op.kernel[1]
    sums = x.reshape(n, h // kh, kh, w // kw, kw, c).sum(dim=(2, 4))
    return torch.div(sums + torch.sign(sums) * (count // 2), count, rounding_mode="trunc")


def _pad(model: Int8Model, op: Op, x: Tensor) -> Tensor:
    """Zeros, which are zero points, behind the channels."""
    return F.pad(x, (0, model.graph.shapes[op.output][-1] - x.shape[-1]), value=model.grids[op.inputs[0]].zero_point)


def _softmax(model: Int8Model, op: Op, x: Tensor) -> Tensor:
    """(n, k) scores -> probabilities on the grid that TFLite prescribes."""
    return torch.from_numpy(softmax(x.numpy(), softmax_scale(model.grids[op.inputs[0]].scale)))


KERNELS: dict[OpKind, Callable[..., Tensor]] = {
    OpKind.CONV_2D: _convolution,
    OpKind.DEPTHWISE_CONV_2D: _convolution,
    OpKind.FULLY_CONNECTED: _dense,
    OpKind.ADD: _add,
    OpKind.AVERAGE_POOL_2D: _average_pool,
    OpKind.PAD: _pad,
    OpKind.SOFTMAX: _softmax,
}
