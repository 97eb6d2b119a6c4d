"""Graph -> ``nn.Module``: float training network whose operators map one to one onto the INT8 graph."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.space.graph import Graph, Op, OpKind, same_padding


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU over (n, c, h, w) with TF-SAME padding, plain or depthwise.

    The padding is explicit so that it exports as TFLite's SAME: no PAD operator remains.
    """

    def __init__(self, graph: Graph, op: Op) -> None:
        super().__init__()
        height, width, c_in = graph.shapes[op.inputs[0]]
        c_out = graph.shapes[op.output][-1]
        top, bottom = same_padding(height, op.kernel[0], op.stride[0])
        left, right = same_padding(width, op.kernel[1], op.stride[1])
        symmetric = top == bottom and left == right
        self.pad = None if symmetric else (left, right, top, bottom)
        self.conv = nn.Conv2d(
            c_in,
            c_out,
            op.kernel,
            op.stride,
            padding=(top, left) if symmetric else 0,
            groups=c_in if op.kind is OpKind.DEPTHWISE_CONV_2D else 1,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(c_out)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) -> (n, c_out, ceil(h/s), ceil(w/s))."""
        if self.pad is not None:
            x = F.pad(x, self.pad)
        return F.relu(self.norm(self.conv(x)))


class Dense(nn.Module):
    """Dense layer over the flattened input: (n, ...) -> (n, width)."""

    def __init__(self, graph: Graph, op: Op) -> None:
        super().__init__()
        width, features = op.weight_shape
        self.linear = nn.Linear(features, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) -> (n, width)."""
        out: Tensor = self.linear(x.flatten(1))
        return out


MODULES: dict[OpKind, Callable[[Graph, Op], nn.Module]] = {
    OpKind.CONV_2D: Convolution,
    OpKind.DEPTHWISE_CONV_2D: Convolution,
    OpKind.AVERAGE_POOL_2D: lambda graph, op: nn.AvgPool2d(op.kernel, op.stride),
    OpKind.FULLY_CONNECTED: Dense,
    OpKind.SOFTMAX: lambda graph, op: nn.Softmax(dim=-1),
}


class Network(nn.Module):
    """The network of a graph. ``forward`` gives what the device gives; ``logits`` stops before the softmax."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({op.name.replace(".", "_"): MODULES[op.kind](graph, op) for op in graph.ops})

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) float features -> (n, classes) probabilities."""
        for layer in self.layers.values():
            x = layer(x)
        return x

    def logits(self, x: Tensor) -> Tensor:
        """(n, c, h, w) float features -> (n, classes) scores for a cross-entropy loss."""
        for layer in self.layers.values():
            if not isinstance(layer, nn.Softmax):
                x = layer(x)
        return x


def build_network(graph: Graph, seed: int) -> Network:
    """A fresh network; the same seed gives the same weights, and torch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(graph)
