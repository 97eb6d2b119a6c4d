"""Block kinds: each is a function that appends operators to a graph, and a record in ``BLOCKS`` of what it may have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from nas.space.graph import GraphBuilder


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its kind (see ``nas.space.blocks``), output channels, kernel and stride as (height, width)."""

    stage: str
    kind: str
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    hidden: int = 0
    """Channels inside the block, of the kinds that have such; else 0."""
    residual: bool = False
    """Whether the input is added to the output."""


class Shortcut(Enum):
    """Which blocks of a stage add their input to their output."""

    NONE = "none"
    BUT_FIRST = "all but the first"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class BlockKind:
    """Record of a block kind: everything that the rest of the package knows of it.

    Attributes:
        build: graph, input tensor, name, block -> output tensor.
        has_hidden: whether its blocks have ``hidden`` channels.
        square_stride: whether both axes have one stride. Of a depthwise convolution whose strides differ, the converter
            makes a grouped convolution.
        shortcut: which blocks of a stage have one.
        over_vectors: whether it takes vectors, and so has neither kernel nor stride; the others take maps.
    """

    build: Callable[[GraphBuilder, int, str, Block], int]
    has_hidden: bool = False
    square_stride: bool = False
    shortcut: Shortcut = Shortcut.NONE
    over_vectors: bool = False

    def adds_input(self, index: int) -> bool:
        """Whether block number ``index`` of a stage, from 0, has a shortcut."""
        return self.shortcut is Shortcut.ALL or (self.shortcut is Shortcut.BUT_FIRST and index > 0)

    def permits(self, block: Block) -> bool:
        """Whether a block, which may come from a file, has the sizes, the stride and the shortcut of its kind."""
        may_add = {Shortcut.NONE: (False,), Shortcut.ALL: (True,)}.get(self.shortcut, (False, block.stride == (1, 1)))
        return (
            min(block.width, *block.kernel, *block.stride) >= 1
            and (block.hidden >= 1 if self.has_hidden else block.hidden == 0)
            and block.residual in may_add
            and not (self.square_stride and block.stride[0] != block.stride[1])
        )


def conv(graph: GraphBuilder, x: int, name: str, block: Block) -> int:
    """Convolution, batch norm, ReLU."""
    return graph.conv(x, name, block.width, block.kernel, block.stride)


def depthwise_separable(graph: GraphBuilder, x: int, name: str, block: Block) -> int:
    """Depthwise convolution then 1x1 convolution, each with batch norm and ReLU (MobileNetV1, DS-CNN)."""
    x = graph.depthwise(x, f"{name}.depthwise", block.kernel, block.stride)
    return graph.conv(x, f"{name}.pointwise", block.width, (1, 1), (1, 1))


def inverted_bottleneck(graph: GraphBuilder, x: int, name: str, block: Block) -> int:
    """1x1 convolution to ``hidden`` channels, depthwise convolution, linear 1x1 convolution (MobileNetV2).

    Every block of a stage but the first adds its input to its output.
    """
    y = graph.conv(x, f"{name}.expand", block.hidden, (1, 1), (1, 1))
    y = graph.depthwise(y, f"{name}.depthwise", block.kernel, block.stride)
    y = graph.conv(y, f"{name}.project", block.width, (1, 1), (1, 1), relu=False)
    return graph.add(x, y, f"{name}.add") if block.residual else y


def fused_bottleneck(graph: GraphBuilder, x: int, name: str, block: Block) -> int:
    """Convolution to ``hidden`` channels, linear 1x1 convolution: an inverted bottleneck whose first two are one.

    EfficientNetV2 (Tan and Le, 2021, arXiv 2104.00298). Every block of a stage but the first adds its input to its
    output.
    """
    y = graph.conv(x, f"{name}.expand", block.hidden, block.kernel, block.stride)
    y = graph.conv(y, f"{name}.project", block.width, (1, 1), (1, 1), relu=False)
    return graph.add(x, y, f"{name}.add") if block.residual else y


def residual(graph: GraphBuilder, x: int, name: str, block: Block) -> int:
    """Two convolutions, ``hidden`` channels between them, added to the input (ResNet's basic block).

    With a stride the shortcut is a linear 1x1 convolution, as in the ResNet of MLPerf Tiny. It runs first: then the
    input is dead while the two convolutions run, which never took more memory in 100 random networks, and up to 24 %
    less.
    """
    shortcut = x
    if block.stride != (1, 1):
        shortcut = graph.conv(x, f"{name}.shortcut", block.width, (1, 1), block.stride, relu=False)
    y = graph.conv(x, f"{name}.first", block.hidden, block.kernel, block.stride)
    y = graph.conv(y, f"{name}.second", block.width, block.kernel, (1, 1), relu=False)
    return graph.add(shortcut, y, f"{name}.add", relu=True)


def temporal(graph: GraphBuilder, x: int, name: str, block: Block) -> int:
    """Average over frequencies where there are any left, depthwise convolution over time, 1x1 convolution.

    (t, f, c) -> (t, 1, width), as the temporal branch of BC-ResNet (Kim et al., 2021, arXiv 2106.04140). Theirs is then
    added to every frequency again: a broadcasting ADD, which CMSIS-NN leaves to a slow reference kernel. At equal ops
    that was no more accurate and took 2.7 times the activation memory, so here the map stays pooled. Every block of a
    stage but the first adds its input to its output.
    """
    x = graph.frequency_pool(x, f"{name}.pool")
    y = graph.depthwise(x, f"{name}.depthwise", block.kernel, block.stride)
    y = graph.conv(y, f"{name}.pointwise", block.width, (1, 1), (1, 1), relu=not block.residual)
    return graph.add(x, y, f"{name}.add", relu=True) if block.residual else y


def dense(graph: GraphBuilder, x: int, name: str, block: Block) -> int:
    """Dense layer, batch norm, ReLU over a vector; kernel and stride are 1."""
    return graph.fully_connected(x, name, block.width, relu=True)


def pool_dense(graph: GraphBuilder, x: int, classes: int) -> int:
    """Average pool over the whole map, dense layer, softmax."""
    x = graph.global_average_pool(x, "pool")
    x = graph.fully_connected(x, "dense", classes)
    return graph.softmax(x, "softmax")


def linear(graph: GraphBuilder, x: int, values: int) -> int:
    """Dense layer alone: what an autoencoder makes of its input."""
    return graph.fully_connected(x, "output", values)


@dataclass(frozen=True, slots=True)
class HeadKind:
    """Record of a head, the end of a network. ``build`` takes graph, input tensor and number of outputs."""

    build: Callable[[GraphBuilder, int, int], int]
    over_vectors: bool = False


BLOCKS = {
    "conv": BlockKind(conv),
    "ds": BlockKind(depthwise_separable, square_stride=True),
    "ibn": BlockKind(inverted_bottleneck, has_hidden=True, square_stride=True, shortcut=Shortcut.BUT_FIRST),
    "fused": BlockKind(fused_bottleneck, has_hidden=True, shortcut=Shortcut.BUT_FIRST),
    "residual": BlockKind(residual, has_hidden=True, shortcut=Shortcut.ALL),
    "temporal": BlockKind(temporal, square_stride=True, shortcut=Shortcut.BUT_FIRST),
    "dense": BlockKind(dense, over_vectors=True),
}
HEADS = {"pool_dense": HeadKind(pool_dense), "linear": HeadKind(linear, over_vectors=True)}
