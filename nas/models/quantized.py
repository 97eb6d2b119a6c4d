"""The network of a graph on the grids of its INT8 file, to be trained further: quantisation-aware fine-tuning.

Weights and activations are rounded in the forward pass; the gradient passes through the rounding where nothing was
clipped (Jacob et al., 2018, arXiv 1712.05877). Batch norms are folded first, as in the file, so that what is trained is
what is flashed: ``to_int8`` gives its integers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.models.int8 import QMAX, QMIN, Grid, Int8Model, Int8Weights
from nas.models.network import Convolution, Dense, Network, convolve
from nas.space.graph import Graph, Op, OpKind

WEIGHT_MAX = 127  # weights are symmetric, -128 is not used (TFLite: int8 quantisation specification)


class Rounded(nn.Module):
    """A layer without weights, its output on its grid."""

    def __init__(self, layer: nn.Module, grid: Grid) -> None:
        super().__init__()
        self.layer, self.grid = layer, grid

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the layer."""
        return on_grid(self.layer(*inputs), self.grid)


class Folded(nn.Module):
    """A convolution or dense layer with its batch norm folded into weight and bias; weights and output on grids."""

    def __init__(self, layer: Convolution | Dense, op: Op, grid: Grid) -> None:
        super().__init__()
        self.op, self.grid = op, grid
        self.pad = layer.pad if isinstance(layer, Convolution) else None
        self.padding = layer.conv.padding if isinstance(layer, Convolution) else 0
        weight, bias = fold(layer)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def scales(self) -> Tensor:
        """The smallest weight scales that clip nothing: (c_out,), or (1,) of a dense layer."""
        largest = self.weight.detach().abs().flatten(1).amax(dim=1)
        largest = largest if self.op.per_channel else largest.amax().reshape(1)
        return largest.clamp(min=1e-12) / WEIGHT_MAX

    def forward(self, x: Tensor) -> Tensor:
        """As the float layer: (n, c, h, w), or (n, ...) of a dense layer."""
        out = self.sums(x, self.rounded_weight())
        return on_grid(F.relu(out) if self.op.relu else out, self.grid)

    def rounded_weight(self) -> Tensor:
        """The weight on its grid."""
        scales = self.scales().expand(len(self.weight))
        zero_points = torch.zeros_like(scales, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(self.weight, scales, zero_points, 0, -WEIGHT_MAX, WEIGHT_MAX)

    def sums(self, x: Tensor, weight: Tensor) -> Tensor:
        """Products with ``weight`` plus bias, before ReLU and rounding: (n, c, h, w), or (n, c) of a dense layer."""
        if self.op.kind is OpKind.FULLY_CONNECTED:
            return F.linear(x.flatten(1), weight, self.bias)
        x = x if self.pad is None else F.pad(x, self.pad)
        groups = x.shape[1] // weight.shape[1]
        return convolve(x, weight, self.bias, self.op.stride, self.padding, groups)

    def integers(self, source: Grid) -> Int8Weights:
        """The constants of the operator in the file, for an input on ``source``."""
        scales = self.scales().double()
        weight = torch.round(self.weight.detach().double() / scales.view(-1, *[1] * (self.weight.ndim - 1)))
        biases = torch.round(self.bias.detach().double() / (source.scale * scales))
        if self.op.kind is OpKind.DEPTHWISE_CONV_2D:
            weight = weight.permute(1, 2, 3, 0)
        elif self.op.kind is OpKind.CONV_2D:
            weight = weight.permute(0, 2, 3, 1)
        values = weight.clamp(-WEIGHT_MAX, WEIGHT_MAX).to(torch.int8).cpu().numpy()
        return Int8Weights(
            np.ascontiguousarray(values).reshape(self.op.weight_shape),
            biases.cpu().numpy().astype(np.int32),
            scales.cpu().numpy(),
        )


class QuantizedNetwork(nn.Module):
    """``Network`` on the grids of a file; ``logits`` is what to train, with the loop of float networks."""

    def __init__(self, network: Network, graph: Graph, grids: Sequence[Grid]) -> None:
        """Copy the weights of ``network``, batch norms folded with their statistics as they are now.

        Args:
            grids: one for each tensor of ``graph``, as ``nas.export.int8_file.read_int8`` finds them.
        """
        super().__init__()
        self.graph, self.grids = graph, tuple(grids)
        layers = zip(graph.ops, network.layers.values(), strict=True)
        self.layers = nn.ModuleList(_layer(op, layer, self.grids[op.output]) for op, layer in layers)

    def logits(self, x: Tensor) -> Tensor:
        """(n, c, h, w) float features -> (n, classes) scores, or the values of a linear head."""
        values = {0: on_grid(x, self.grids[0])}
        for op, layer in zip(self.graph.ops, self.layers, strict=True):
            values[op.output] = layer(*(values[tensor] for tensor in op.inputs))
        return values[self.graph.ops[-1].output]

    def forward(self, x: Tensor) -> Tensor:
        """As ``logits``, with the softmax of a classifier."""
        out = self.logits(x)
        return torch.softmax(out, dim=-1) if self.graph.ops[-1].kind is OpKind.SOFTMAX else out

    def to_float(self) -> Network:
        """The same weights as a float network whose batch norms only add biases, ready to be converted."""
        network = Network(self.graph)
        for layer, mine in zip(network.layers.values(), self.layers, strict=True):
            if isinstance(layer, Convolution | Dense) and isinstance(mine, Folded):
                _unfold(layer, mine)
        return network.to(next(self.parameters()).device).eval()

    def to_int8(self) -> Int8Model:
        """The integers that a file of this network holds."""
        weights = {
            op.name: layer.integers(self.grids[op.inputs[0]])
            for op, layer in zip(self.graph.ops, self.layers, strict=True)
            if isinstance(layer, Folded)
        }
        return Int8Model(self.graph, self.grids, weights)


Trainable = Network | QuantizedNetwork
"""What the training loop takes: a module with ``logits``."""


def on_grid(x: Tensor, grid: Grid) -> Tensor:
    """Values rounded to a grid and clipped to its ends; the gradient is 1 inside and 0 beyond."""
    return torch.fake_quantize_per_tensor_affine(x, grid.scale, grid.zero_point, QMIN, QMAX)


def fold(layer: Convolution | Dense) -> tuple[Tensor, Tensor]:
    """Weight and bias that do what the layer and its batch norm do with its running statistics."""
    inner = layer.conv if isinstance(layer, Convolution) else layer.linear
    weight, norm = inner.weight.detach(), layer.norm
    bias = torch.zeros(len(weight), device=weight.device) if inner.bias is None else inner.bias.detach()
    if norm is None:
        return weight.clone(), bias.clone()
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
    folded = weight * gain.view(-1, *[1] * (weight.ndim - 1))
    return folded, norm.bias.detach() + (bias - norm.running_mean) * gain


@torch.no_grad()
def _unfold(layer: Convolution | Dense, source: Folded) -> None:
    """The inverse of ``fold`` for a layer with fresh statistics: a gain of exactly 1."""
    inner = layer.conv if isinstance(layer, Convolution) else layer.linear
    inner.weight.copy_(source.weight)
    if layer.norm is None:
        assert inner.bias is not None
        inner.bias.copy_(source.bias)
        return
    assert layer.norm.running_var is not None
    layer.norm.running_var.fill_(1 - layer.norm.eps)
    layer.norm.weight.fill_(1)
    layer.norm.bias.copy_(source.bias)


def _layer(op: Op, layer: nn.Module, grid: Grid) -> nn.Module:
    if isinstance(layer, Convolution | Dense):
        return Folded(layer, op, grid)
    return nn.Identity() if op.kind is OpKind.SOFTMAX else Rounded(layer, grid)
