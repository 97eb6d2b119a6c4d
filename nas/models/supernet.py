"""One network whose weights every network of a space shares: the supernet of gradient and one-shot search.

It has the weights of the space's widest, deepest network. What runs is told by *mixing weights*: for each decision a
distribution over its options. Where all of them are one-hot, exactly one network of the space runs, at exactly its
price; in between, options are mixed:

- **Width**: channel c is scaled by the weight of all options that have it (the channel mask of FBNetV2, Wan et al.,
  2020, arXiv 2004.05565). One convolution of the widest option runs, however many options there are.
- **Kernel**: each tap is scaled likewise; smaller kernels lie in the larger one where TF-SAME padding puts them.
- **Depth**: a stage ends in the mean of the outputs after each number of blocks, by weight. So every block reads what
  it reads in a network of the space, not a mixture with its own input.
- **Structure**: of the kinds and strides of a stage, and of having it or not, the likeliest is run, as if it were
  certain. Each kind has weights of its own; strides share them.

Batch norm would undo a mask: it scales each channel back to unit variance. So masks come after it, folded into its
scale and shift, which costs nothing per pixel (a mask is not negative, so ReLU lets it pass); and a depthwise
convolution, whose channels are those of its input, is masked again after its own. Running averages would mix the
statistics of all networks and are not kept: a step uses those of its batch, and ``inherit`` gives a network whose own
are measured afterwards (``nas.training.supernet.recalibrate``).

Options that hold less than ``NEGLIGIBLE`` weight at the wide end are cut off rather than computed, so that a step
costs about what the networks cost that the search is choosing between, not what the widest one does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.models.network import Convolution, Dense, Network, build_network, convolve
from nas.space import Architecture, SearchSpace
from nas.space.blocks import BLOCKS, HEADS, Block
from nas.space.graph import Graph, GraphBuilder, same_padding
from nas.space.space import DEPTH, KIND, PARTS, STRIDE, decision_name, make_block
from nas.space.spec import StageSpec

NEGLIGIBLE = 0.01  # weight of the widest options that is not computed; they count as the widest that is

Pair = tuple[int, int]
MixingWeights = Mapping[str, Tensor]  # decision name -> (options,), at least 0 and of sum 1


class Supernet(nn.Module):
    """The shared weights of a space. ``logits`` runs a mixture of its networks, ``inherit`` takes one out."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        super().__init__()
        self.space = space
        self.layers = build_network(_widest_graph(space), seed).layers
        self._counts = {decision.name: len(decision.options) for decision in space.decisions}
        self._sizes = {each.name: each.options for each in space.decisions if not each.is_structural}

    def logits(self, x: Tensor, weights: MixingWeights) -> Tensor:
        """(n, c, h, w) float features -> (n, classes) scores of the mixture, differentiable in ``weights``."""
        mixes = {name: mix(options, weights[name], x) for name, options in self._sizes.items()}
        run = _Run(self.space.spec.input, layers=self.layers, maps=[Map(x, None)])
        out = 0
        for stage in self.space.spec.stage:
            depth = _present(mixes.get(decision_name(stage.name, 0, DEPTH)))
            depths = stage.repeat if depth is None else depth.chosen
            ends: list[int] = []
            kind = _likeliest(stage.kinds, weights.get(decision_name(stage.name, 0, KIND)))
            stride = _likeliest(stage.strides, weights.get(decision_name(stage.name, 0, STRIDE)))
            for number, block in enumerate(_widest_blocks(stage, kind, stride)[: max(depths)], 1):
                parts = {
                    part: mixes.get(decision_name(stage.name, number, part), getattr(block, part)) for part in PARTS
                }
                out = BLOCKS[kind].build(run, out, _shared_name(stage, kind, number), replace(block, **parts))
                if number in depths:
                    ends.append(out)
            if ends:
                out = ends[-1] if depth is None else run.mean(ends, depth.shares)
        return run.read(HEADS[self.space.spec.head.kind].build(run, out, self.space.spec.classes)).values

    def choose(self, architecture: Architecture) -> dict[str, Tensor]:
        """The one-hot mixing weights of a network; blocks that it does not have take their first option."""
        taken = self.space.choices(architecture)
        return {
            name: F.one_hot(torch.tensor(taken.get(name, 0)), count).float() for name, count in self._counts.items()
        }

    @torch.no_grad()
    def inherit(self, architecture: Architecture) -> Network:
        """A network with a copy of its shared weights; its batch-norm statistics are not measured yet."""
        graph = architecture.graph
        network = build_network(graph, seed=0)
        names = self._shared_names(architecture)
        for layer, op in zip(network.layers.values(), graph.ops, strict=True):
            if isinstance(layer, Convolution):
                size = graph.shapes[op.inputs[0]]
                _inherit_convolution(layer, self._layer(names(op.name)), size)
            elif isinstance(layer, Dense):
                _inherit_dense(layer, self._layer(names(op.name)))
        return network

    def _layer(self, name: str) -> Any:
        return self.layers[name.replace(".", "_")]

    def _shared_names(self, architecture: Architecture) -> Callable[[str], str]:
        """Name of an operator of a network -> name of the layer whose weights it shares."""
        stages = {stage.name: stage for stage in self.space.spec.stage}
        kinds = {block.stage: block.kind for block in architecture.blocks}

        def shared(name: str) -> str:
            stage, _, rest = name.partition(".")
            if stage in kinds:
                number, *part = rest.split(".")
                name = ".".join([_shared_name(stages[stage], kinds[stage], int(number)), *part])
            return name

        return shared


@dataclass(frozen=True, slots=True, eq=False)
class Mix:
    """One decision as the forward pass sees it: the options that are computed, and what each of them weighs."""

    chosen: tuple[Any, ...]
    shares: Tensor  # (chosen,), of sum 1

    @property
    def largest(self) -> Any:
        """Most channels; or the tallest and widest kernel."""
        sizes = np.max(np.array(self.chosen), axis=0)
        return tuple(sizes.tolist()) if sizes.ndim else int(sizes)

    def channel_mask(self) -> Tensor:
        """(largest,): for each channel the weight of the options that have it."""
        tails = self.shares.flip(0).cumsum(0).flip(0)
        first = np.searchsorted(np.array(self.chosen), np.arange(1, self.largest + 1))  # narrowest option with it
        return tails[torch.from_numpy(first).to(tails.device)]


def mix(options: tuple[Any, ...], weights: Tensor, like: Tensor) -> Mix:
    """Leave out what weighs next to nothing: kernels, and the wide end of widths and depths.

    Shares are on the device and of the type of ``like``.
    """
    values = weights.detach().cpu().numpy()
    if isinstance(options[0], tuple):
        kept = np.flatnonzero(values > NEGLIGIBLE)
        shares = weights[torch.from_numpy(kept)]
        return Mix(tuple(options[i] for i in kept), (shares / shares.sum()).to(like))
    most = max(int((values[::-1].cumsum()[::-1] > NEGLIGIBLE).sum()), 1)
    least = min(int((values.cumsum() == 0).sum()), most - 1)
    shares = torch.cat([weights[least : most - 1], weights[most - 1 :].sum(0, keepdim=True)])
    return Mix(options[least:most], shares.to(like))


class Map(NamedTuple):
    """A feature map (n, c, h, w), and the mask of its channels (c,), ``None`` where all of them are there."""

    values: Tensor
    mask: Tensor | None


@dataclass(frozen=True, slots=True)
class Mean:
    """Feature maps, and the weight of each (maps,)."""

    maps: list[Map]
    shares: Tensor

    @property
    def map(self) -> Map:
        """Their weighted mean, narrower ones filled with zeros."""
        maps = _of_one_width(self.maps)
        total = maps[0].values * self.shares[0]
        for share, (more, _) in zip(self.shares[1:], maps[1:], strict=True):
            total = torch.addcmul(total, more, share)
        masks = [values.new_ones(values.shape[1]) if mask is None else mask for values, mask in maps]
        return Map(total, torch.stack(masks, 1) @ self.shares)


@dataclass(slots=True)
class _Run(GraphBuilder):
    """Block kinds run on it as they build a graph on a ``GraphBuilder``: each method computes instead of appending.

    So a new block kind has its supernet for nothing. Indices are those of ``maps``.
    """

    layers: nn.ModuleDict = field(kw_only=True)
    maps: list[Map | Mean] = field(kw_only=True)

    def conv(self, x: int, name: str, width: Any, kernel: Any, stride: Pair, relu: bool = True) -> int:
        mask, channels = _mask(width)
        return self._convolve(x, name, channels, kernel, stride, relu, mask)

    def depthwise(self, x: int, name: str, kernel: Any, stride: Pair) -> int:
        values, mask = self.read(x)
        return self._convolve(x, name, values.shape[1], kernel, stride, True, mask)

    def add(self, x: int, y: int, name: str, relu: bool = False) -> int:
        a, b = _of_one_width([self.read(x), self.read(y)])
        total = a.values + b.values
        mask = None if a.mask is None or b.mask is None else torch.maximum(a.mask, b.mask)
        return self._keep(F.relu(total) if relu else total, mask)

    def global_average_pool(self, x: int, name: str) -> int:
        found = self.maps[x]
        if isinstance(found, Mean):  # means of pixels and of maps may change places: pooled maps are small
            pooled = [Map(_pool(values), mask) for values, mask in found.maps]
            return self._keep(Mean(pooled, found.shares).map.values, None)
        return self._keep(_pool(found.values), None)

    def frequency_pool(self, x: int, name: str) -> int:
        values, mask = self.read(x)
        return x if values.shape[3] == 1 else self._keep(F.avg_pool2d(values, (1, values.shape[3])), mask)

    def fully_connected(self, x: int, name: str, width: Any, relu: bool = False) -> int:
        features, layer = self.read(x).values.flatten(1), self._layer(name)
        mask, channels = _mask(width)
        out = F.linear(features, layer.linear.weight[:channels, : features.shape[1]], layer.linear.bias)
        return self._normed(out, layer.norm, True, mask) if relu else self._keep(out, None)

    def softmax(self, x: int, name: str) -> int:
        return x  # losses take logits

    def mean(self, ends: list[int], shares: Tensor) -> int:
        """The outputs of a stage after each number of blocks, by weight; computed where it is read."""
        self.maps.append(self.maps[ends[-1]] if len(ends) == 1 else Mean([self.read(end) for end in ends], shares))
        return len(self.maps) - 1

    def read(self, x: int) -> Map:
        """A feature map."""
        found = self.maps[x]
        return found if isinstance(found, Map) else found.map

    def _convolve(
        self, x: int, name: str, channels: int, kernel: Any, stride: Pair, relu: bool, mask: Tensor | None
    ) -> int:
        values, layer = self.read(x).values, self._layer(name)
        size = values.shape[2:]
        depthwise = layer.conv.groups > 1
        weight = layer.conv.weight[:channels, : 1 if depthwise else values.shape[1]]
        weight, (height, width) = _taps(weight, kernel, layer.conv.kernel_size, size, stride)
        (top, bottom), (left, right) = same_padding(size[0], height, stride[0]), same_padding(size[1], width, stride[1])
        if (top, left) != (bottom, right):
            values = F.pad(values, (left, right, top, bottom))
            top = left = 0
        out = convolve(values, weight, None, stride, (top, left), channels if depthwise else 1)
        return self._normed(out, layer.norm, relu, mask)

    def _normed(self, out: Tensor, norm: Any, relu: bool, mask: Tensor | None) -> int:
        """Keep what batch norm, mask and ReLU make of the channels that were computed."""
        channels = out.shape[1]
        scale, shift = norm.weight[:channels], norm.bias[:channels]
        if mask is not None:
            scale, shift = scale * mask, shift * mask
        out = F.batch_norm(out, None, None, scale, shift, training=True, eps=norm.eps)
        return self._keep(F.relu(out, inplace=True) if relu else out, mask)

    def _layer(self, name: str) -> Any:
        return self.layers[name.replace(".", "_")]

    def _keep(self, values: Tensor, mask: Tensor | None) -> int:
        self.maps.append(Map(values, mask))
        return len(self.maps) - 1


def _mask(width: Any) -> tuple[Tensor | None, int]:
    """The mask of a choice of widths, and how many channels are computed."""
    return (width.channel_mask(), width.largest) if isinstance(width, Mix) else (None, width)


def _taps(weight: Tensor, kernel: Any, stored: Pair, size: torch.Size, stride: Pair) -> tuple[Tensor, Pair]:
    """The window of the stored kernel that is computed, its taps mixed; and its height and width."""
    if not isinstance(kernel, Mix):
        return _window(weight, kernel, stored, size, stride), kernel
    largest: Pair = kernel.largest
    weight = _window(weight, largest, stored, size, stride)
    if len(kernel.chosen) == 1:
        return weight, largest
    taps = kernel.shares.new_zeros(largest)
    for share, option in zip(kernel.shares, kernel.chosen, strict=True):
        top, left = _corner(option, largest, size, stride)
        taps = taps + share * F.pad(
            taps.new_ones(option), (left, largest[1] - option[1] - left, top, largest[0] - option[0] - top)
        )
    return weight * taps, largest


def _window(weight: Tensor, kernel: Pair, stored: Pair, size: Any, stride: Pair) -> Tensor:
    """The part of a larger kernel that a smaller one is."""
    if kernel == stored:
        return weight
    top, left = _corner(kernel, stored, size, stride)
    return weight[:, :, top : top + kernel[0], left : left + kernel[1]]


def _corner(kernel: Pair, larger: Pair, size: Any, stride: Pair) -> Pair:
    """Where a kernel begins in a larger one, so that both see the same pixels under TF-SAME padding."""
    top, left = (
        same_padding(size[axis], larger[axis], stride[axis])[0]
        - same_padding(size[axis], kernel[axis], stride[axis])[0]
        for axis in (0, 1)
    )
    return top, left


def _pool(values: Tensor) -> Tensor:
    """Means over all pixels (n, c); a plain mean would hand its gradient on in another memory layout."""
    return F.avg_pool2d(values, values.shape[2:]).flatten(1)


def _of_one_width(maps: list[Map]) -> list[Map]:
    """Zeros behind the channels of the narrower maps."""
    channels = max(values.shape[1] for values, _ in maps)
    return [_widened(each, channels - each.values.shape[1]) for each in maps]


def _widened(each: Map, missing: int) -> Map:
    if not missing:
        return each
    values, mask = each
    mask = values.new_ones(values.shape[1]) if mask is None else mask
    beyond = (0, 0) * (values.ndim - 2)
    return Map(F.pad(values, (*beyond, 0, missing)), F.pad(mask, (0, missing)))


def _widest_graph(space: SearchSpace) -> Graph:
    """A graph with every layer that is shared: each kind of each stage at its deepest and widest, with large kernels.

    It is no network: each kind of a stage reads a map of its own, as wide as any that may come before it.
    """
    builder = GraphBuilder(space.spec.input)
    before = {space.spec.input[2]}  # channels that may come in
    for stage in space.spec.stage:
        after = before if stage.repeat[0] == 0 else set[int]()
        for kind in stage.kinds:
            x = builder.source((*space.spec.input[:2], max(before)))
            strides = max(stage.strides, key=math.prod)
            for number, block in enumerate(_widest_blocks(stage, kind, strides), 1):
                x = BLOCKS[kind].build(builder, x, _shared_name(stage, kind, number), block)
            after = after | {builder.shapes[x][-1]}
        before = after
    HEADS[space.spec.head.kind].build(builder, builder.source((*space.spec.input[:2], max(before))), space.spec.classes)
    return builder.build()


@functools.cache
def _widest_blocks(stage: StageSpec, kind: str, stride: Pair) -> tuple[Block, ...]:
    height, width = np.max(np.array(stage.kernel), axis=0).tolist()
    parts = {"width": stage.width[-1], "hidden": stage.hidden[-1], "kernel": (height, width)}
    return tuple(make_block(stage, kind, stride, i, parts) for i in range(stage.repeat[-1]))


def _shared_name(stage: StageSpec, kind: str, number: int) -> str:
    """Name of the layers of a block, the ``number``-th of its stage from 1; each of several kinds has its own."""
    return f"{stage.name}.{kind}.{number}" if len(stage.kinds) > 1 else f"{stage.name}.{number}"


def _likeliest(options: Any, weights: Tensor | None) -> Any:
    """Return the option that weighs most, or the only one."""
    return options[0 if weights is None else int(weights.argmax())]


def _present(depth: Mix | None) -> Mix | None:
    """Decide whether a stage that may be left out is there, by the larger weight; keep the depths that remain."""
    if depth is None or depth.chosen[0] > 0 or len(depth.chosen) == 1:
        return depth
    if depth.shares[0] > 1 / 2:
        return Mix(depth.chosen[:1], depth.shares[:1] / depth.shares[:1])
    return Mix(depth.chosen[1:], depth.shares[1:] / depth.shares[1:].sum())


def _inherit_convolution(layer: Convolution, shared: Convolution, size: tuple[int, ...]) -> None:
    """Copy the first channels and the taps of a smaller kernel, and the affine part of the batch norm."""
    channels, inputs = layer.conv.weight.shape[:2]
    stored, kernel, stride = (
        _pair(each) for each in (shared.conv.kernel_size, layer.conv.kernel_size, layer.conv.stride)
    )
    layer.conv.weight.copy_(_window(shared.conv.weight[:channels, :inputs], kernel, stored, size, stride))
    layer.norm.weight.copy_(shared.norm.weight[:channels])
    layer.norm.bias.copy_(shared.norm.bias[:channels])


def _inherit_dense(layer: Dense, shared: Dense) -> None:
    """Copy the first rows and columns, and the bias or the affine part of the batch norm."""
    width, features = layer.linear.weight.shape
    layer.linear.weight.copy_(shared.linear.weight[:width, :features])
    if layer.norm is None or shared.norm is None:
        layer.linear.bias.copy_(shared.linear.bias)
        return
    layer.norm.weight.copy_(shared.norm.weight[:width])
    layer.norm.bias.copy_(shared.norm.bias[:width])


def _pair(sizes: tuple[int, ...]) -> Pair:
    height, width = sizes
    return height, width
