"""Block kinds: each is one function that appends operators to a graph. A new kind is a new entry in ``BLOCKS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nas.space.graph import GraphBuilder


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its kind (see ``nas.space.blocks``), output channels, kernel and stride as (height, width)."""

    stage: str
    kind: str
    width: int
    kernel: tuple[int, int]
    stride: tuple[int, int]


def conv(graph: GraphBuilder, x: int, name: str, block: Block) -> int:
    """Convolution, batch norm, ReLU."""
    return graph.conv(x, name, block.width, block.kernel, block.stride)


def depthwise_separable(graph: GraphBuilder, x: int, name: str, block: Block) -> int:
    """Depthwise convolution then 1x1 convolution, each with batch norm and ReLU (MobileNetV1, DS-CNN)."""
    x = graph.depthwise(x, f"{name}.depthwise", block.kernel, block.stride)
    return graph.conv(x, f"{name}.pointwise", block.width, (1, 1), (1, 1))


def pool_dense(graph: GraphBuilder, x: int, classes: int) -> int:
    """Average pool over the whole map, dense layer, softmax."""
    x = graph.global_average_pool(x, "pool")
    x = graph.fully_connected(x, "dense", classes)
    return graph.softmax(x, "softmax")


BLOCKS: dict[str, Callable[[GraphBuilder, int, str, Block], int]] = {"conv": conv, "ds": depthwise_separable}
HEADS: dict[str, Callable[[GraphBuilder, int, int], int]] = {"pool_dense": pool_dense}
