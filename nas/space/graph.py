"""The one shared truth: an architecture as a graph of INT8 TFLite operators with shapes.

Cost models, the torch network and the exporter all read this graph; nothing computes a shape twice. Shapes
leave out the batch, which is always 1: feature maps are ``(h, w, c)``, vectors ``(n,)``.

Channels and kernels may be NumPy arrays instead of integers: then one graph stands for many networks, and every cost
of it is an array (``nas.cost.population``). ``Op.present`` says which of them have an operator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np


class OpKind(StrEnum):
    """TFLite builtin operators that the spaces are made of, named as in the TFLite schema."""

    CONV_2D = "CONV_2D"
    DEPTHWISE_CONV_2D = "DEPTHWISE_CONV_2D"
    AVERAGE_POOL_2D = "AVERAGE_POOL_2D"
    FULLY_CONNECTED = "FULLY_CONNECTED"
    SOFTMAX = "SOFTMAX"
    ADD = "ADD"
    PAD = "PAD"

    __hash__ = str.__hash__  # Enum's own is Python code: a quarter of the time of costing a network


class Op(NamedTuple):
    """One operator. ``inputs`` and ``output`` index ``Graph.shapes``; kernel and stride are (height, width).

    ``weight_shape`` is the TFLite layout: (c_out, kh, kw, c_in), (1, kh, kw, c) for depthwise, (n_out, n_in) for
    fully connected, () without weights. Every operator with weights has one bias per output channel.
    """

    kind: OpKind
    name: str
    inputs: tuple[int, ...]
    output: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    relu: bool = False
    weight_shape: tuple[int, ...] = ()
    weight_count: int = 0
    """Number of weights without biases; one byte each in INT8."""
    bias_count: int = 0
    """Number of biases, one per output channel; four bytes each in INT8 networks."""
    present: Any = True
    """Always ``True`` in the graph of one network; an array of bool in a graph of many."""

    @property
    def per_channel(self) -> bool:
        """Whether weights have one scale per output channel, as convolutions do; dense layers have one in all."""
        return self.kind is OpKind.CONV_2D or self.kind is OpKind.DEPTHWISE_CONV_2D


@dataclass(frozen=True, slots=True)
class Graph:
    """Operators in execution order over activation tensors; tensor 0 is the input, the last one the output."""

    shapes: tuple[tuple[int, ...], ...]
    ops: tuple[Op, ...]

    def tensor_bytes(self, tensor: int) -> int:
        """Bytes of one INT8 activation tensor."""
        return math.prod(self.shapes[tensor])

    @property
    def parameters(self) -> int:
        """Weights and biases together, as published parameter counts do."""
        return sum(op.weight_count + op.bias_count for op in self.ops)


@dataclass(slots=True)
class GraphBuilder:
    """Appends operators one after the other; block kinds are functions over it.

    Every method takes the index of its input tensor and returns the index of its output tensor.
    """

    input_shape: tuple[int, ...]
    shapes: list[tuple[int, ...]] = field(init=False)
    ops: list[Op] = field(default_factory=list)
    present: Any = True
    """Which networks get what is appended next, in a graph of many; the others keep the input of each operator."""

    def __post_init__(self) -> None:
        self.shapes = [self.input_shape]

    def conv(
        self, x: int, name: str, width: int, kernel: tuple[int, int], stride: tuple[int, int], relu: bool = True
    ) -> int:
        """Convolution, batch norm and ReLU with TF-SAME padding: (h, w, c) -> (ceil(h/s), ceil(w/s), width)."""
        h, w, c = self.shapes[x]
        kh, kw = kernel
        shape = (*same_size((h, w), stride), width)
        weights = (width, kh, kw, c), width * kh * kw * c, width
        return self._append(Op(OpKind.CONV_2D, name, (x,), self._next, kernel, stride, relu, *weights), shape)

    def depthwise(self, x: int, name: str, kernel: tuple[int, int], stride: tuple[int, int]) -> int:
        """Depthwise convolution, batch norm and ReLU with TF-SAME padding; keeps the channels.

        Over one channel it is a plain convolution, and the TFLite converter writes it as one. Arrays of channels must
        not hold a 1, therefore.
        """
        h, w, c = self.shapes[x]
        kh, kw = kernel
        shape = (*same_size((h, w), stride), c)
        kind = OpKind.CONV_2D if isinstance(c, int) and c == 1 else OpKind.DEPTHWISE_CONV_2D
        weights = (1, kh, kw, c), kh * kw * c, c
        return self._append(Op(kind, name, (x,), self._next, kernel, stride, True, *weights), shape)

    def source(self, shape: tuple[int, ...]) -> int:
        """A tensor that no operator writes."""
        self.shapes.append(shape)
        return self._next - 1

    def add(self, x: int, y: int, name: str, relu: bool = False) -> int:
        """Sum of two maps of one size: (h, w, a), (h, w, b) -> (h, w, max(a, b)); the narrower is padded with zeros.

        Zero padding instead of a projection costs no weights; the residual networks of MicroNets have it.
        """
        narrow, wide = self.shapes[x][-1], self.shapes[y][-1]
        width = narrow + (wide - narrow) * (wide > narrow)
        x = self._pad_channels(x, f"{name}.pad_x", width)
        y = self._pad_channels(y, f"{name}.pad_y", width)
        shape = (*self.shapes[x][:-1], width)
        return self._append(Op(OpKind.ADD, name, (x, y), self._next, relu=relu), shape)

    def _pad_channels(self, x: int, name: str, width: int) -> int:
        """Zeros behind the channels of a map; no operator where it has ``width`` of them."""
        h, w, c = self.shapes[x]
        narrower: Any = c < width
        if narrower is False or (narrower is not True and not narrower.any()):
            return x
        everywhere, self.present = self.present, self.present & narrower
        padded = self._append(Op(OpKind.PAD, name, (x,), self._next), (h, w, width))
        self.present = everywhere
        return padded

    def global_average_pool(self, x: int, name: str) -> int:
        """Average over the whole map: (h, w, c) -> (1, 1, c)."""
        h, w, c = self.shapes[x]
        return self._append(Op(OpKind.AVERAGE_POOL_2D, name, (x,), self._next, (h, w), (h, w)), (1, 1, c))

    def frequency_pool(self, x: int, name: str) -> int:
        """Average over the second axis: (t, f, c) -> (t, 1, c); no operator where it has one place only."""
        h, w, c = self.shapes[x]
        if w == 1:
            return x
        return self._append(Op(OpKind.AVERAGE_POOL_2D, name, (x,), self._next, (1, w), (1, w)), (h, 1, c))

    def fully_connected(self, x: int, name: str, width: int, relu: bool = False) -> int:
        """Dense layer over the flattened input, with batch norm if it has a ReLU: (...) -> (width,)."""
        features = math.prod(self.shapes[x])
        weights = (width, features), width * features, width
        return self._append(
            Op(OpKind.FULLY_CONNECTED, name, (x,), self._next, (1, 1), (1, 1), relu, *weights), (width,)
        )

    def softmax(self, x: int, name: str) -> int:
        """Softmax over a vector."""
        return self._append(Op(OpKind.SOFTMAX, name, (x,), self._next), self.shapes[x])

    def build(self) -> Graph:
        """Freeze what was appended."""
        return Graph(tuple(self.shapes), tuple(self.ops))

    @property
    def _next(self) -> int:
        return len(self.shapes)

    def _append(self, op: Op, shape: tuple[int, ...]) -> int:
        if self.present is not True:
            op = op._replace(present=self.present)
            channels: Any = np.where(self.present, shape[-1], self.shapes[op.inputs[0]][-1])
            shape = (*shape[:-1], channels)
        self.ops.append(op)
        self.shapes.append(shape)
        return op.output


def same_size(size: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int]:
    """Output size (h, w) of TF-SAME padding: the input size over the stride, rounded up."""
    return -(-size[0] // stride[0]), -(-size[1] // stride[1])


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TF-SAME padding (before, after) along one axis; the odd one goes after.

    Source: TensorFlow, "Notes on padding combination of operators". torch pads both sides alike instead, which
    leaves a PAD operator in the exported file and up to 56 % more activation memory.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
