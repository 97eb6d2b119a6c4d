"""Writes a memory plan into a ``.tflite`` file, where the unmodified TensorFlow Lite Micro finds and obeys it.

Metadata ``OfflineMemoryAllocation``: int32 version 1, subgraph 0, number of tensors, and for each tensor its offset in
the arena in bytes, -1 where TFLM shall decide (``tensorflow/lite/micro/micro_allocation_info.cc``). TFLM does not check
whether a plan is safe: ``nas.plan.replay`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.export.flatbuffer import OFFLINE_PLAN, load
from nas.export.slim import write_slim

HEADER = (1, 0)  # version, subgraph


def with_offline_plan(model: bytes, offsets: Sequence[int] | None, order: Sequence[int] | None = None) -> bytes:
    """Return the slim form of a model with a plan, in place of one that it may have.

    Args:
        model: a ``.tflite`` file.
        offsets: one for each tensor, -1 where TFLM decides; ``None``: no plan.
        order: positions of the operators in the order in which they shall run; ``None``: as they are.

    Raises:
        InputError: not a TFLite model, one that cannot be slimmed, or a plan for another number of tensors.
    """
    from ai_edge_litert import schema_py_generated as schema

    tree = load(model)
    graph = tree.subgraphs[0]
    tree.metadata = [item for item in tree.metadata or () if item.name != OFFLINE_PLAN]
    if offsets is not None:
        if len(offsets) != len(graph.tensors):
            raise InputError(f"a plan of {len(offsets)} offsets for a model of {len(graph.tensors)} tensors")
        tree.metadata.append(_metadata(schema, len(tree.buffers)))
        tree.buffers.append(_buffer(schema, (*HEADER, len(offsets), *offsets)))
    if order is not None:
        graph.operators = [graph.operators[position] for position in order]
    return write_slim(tree, len(model))


def _metadata(schema: Any, buffer: int) -> Any:
    item = schema.MetadataT()
    item.name, item.buffer = OFFLINE_PLAN, buffer
    return item


def _buffer(schema: Any, words: Sequence[int]) -> Any:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.asarray(words, "<i4").tobytes(), np.uint8)
    return buffer
