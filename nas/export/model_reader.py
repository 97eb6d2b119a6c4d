"""Reads a ``.tflite`` file, ours or not, into the plain data that ``nas.cost`` reports on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.export.flatbuffer import DAMAGE, OFFLINE_PLAN, load, operator_name
from nas.model_file import BITS, FileOp, FileTensor, ModelFile

PACKED_BITS = {"int4": 4}  # of a value in the file
OFFLINE_HEADER = 3  # version, subgraph, number of tensors; then one offset for each tensor


def read_model(model: bytes) -> ModelFile:
    """Read the main subgraph and the offline memory plan.

    Raises:
        InputError: not a TFLite model, cut off, or one that refers to things it does not have.
    """
    try:
        tree = load(model)
        return _model(tree, len(model))
    except DAMAGE as error:
        raise InputError(f"damaged TFLite model of {len(model):,} bytes: {error}") from error


def _model(tree: Any, file_bytes: int) -> ModelFile:
    graph = tree.subgraphs[0]
    tensors = tuple(_tensor(tree, raw) for raw in graph.tensors)
    ops = tuple(_op(tree, raw, len(tensors)) for raw in graph.operators or ())
    if not ops:
        raise InputError("the model has no operators")
    return ModelFile(
        tensors=tensors,
        ops=ops,
        inputs=_indices(graph.inputs, len(tensors), "the model's inputs"),
        outputs=_indices(graph.outputs, len(tensors), "the model's outputs"),
        file_bytes=file_bytes,
        offline_offsets=_offline_offsets(tree, len(tensors)),
        subgraphs=len(tree.subgraphs),
    )


def _tensor(tree: Any, raw: Any) -> FileTensor:
    data = tree.buffers[raw.buffer].data
    shape = _ints(raw.shape)
    if min(shape, default=0) < 0:
        raise InputError(f"tensor {_text(raw.name)!r} has the shape {shape}: expected fixed sizes")
    dtype, data_bytes = _type_names()[raw.type], 0 if data is None else len(data)
    needed = -(-math.prod(shape) * PACKED_BITS.get(dtype, BITS.get(dtype, 0)) // 8)
    if 0 < data_bytes < needed and raw.sparsity is None:
        raise InputError(f"tensor {_text(raw.name)!r} of shape {shape} has {data_bytes:,} bytes, not {needed:,}")
    return FileTensor(
        name=_text(raw.name),
        shape=shape,
        dtype=dtype,
        data_bytes=data_bytes,
        scales=_scales(raw.quantization),
        variable=bool(raw.isVariable),
    )


def _scales(quantization: Any) -> int:
    """Number of scales; like TFLM, take scales without zero points for none."""
    if quantization is None or quantization.zeroPoint is None or len(quantization.zeroPoint) == 0:
        return 0
    return 0 if quantization.scale is None else len(quantization.scale)


def _op(tree: Any, raw: Any, tensors: int) -> FileOp:
    code = tree.operatorCodes[raw.opcodeIndex]
    kind = operator_name(tree, raw)
    custom = kind == "CUSTOM"
    return FileOp(
        kind=_text(code.customCode) or kind if custom else kind,
        inputs=_indices(raw.inputs, tensors, f"the inputs of {kind}", optional=True),
        outputs=_indices(raw.outputs, tensors, f"the outputs of {kind}"),
        options={} if custom else _options(raw.builtinOptions or raw.builtinOptions2),
        custom=custom,
    )


def _options(table: Any) -> Mapping[str, Any]:
    """Fields of an options table by their schema names, arrays as tuples."""
    fields = {} if table is None else vars(table)
    return {name: tuple(value.tolist()) if isinstance(value, np.ndarray) else value for name, value in fields.items()}


def _indices(values: Any, tensors: int, where: str, *, optional: bool = False) -> tuple[int, ...]:
    """Tensor indices, checked; -1 only where an input may be left out."""
    indices = _ints(values)
    lowest = -1 if optional else 0
    bad = [index for index in indices if not lowest <= index < tensors]
    if bad:
        raise InputError(f"damaged TFLite model: {where} name tensor {bad[0]}, but there are {tensors}")
    return indices


def _offline_offsets(tree: Any, tensors: int) -> tuple[int, ...] | None:
    """The plan in the metadata, if there is one: int32 offsets, one for each tensor."""
    buffers = [tree.buffers[item.buffer].data for item in tree.metadata or () if item.name == OFFLINE_PLAN]
    if not buffers:
        return None
    words = np.frombuffer(bytes(buffers[0]), dtype="<i4")
    if len(words) < OFFLINE_HEADER or not words[2] == tensors == len(words) - OFFLINE_HEADER:
        raise InputError(f"the model's offline memory plan is not one for its {tensors} tensors")
    return tuple(int(offset) for offset in words[OFFLINE_HEADER:])


def _ints(vector: Sequence[int] | None) -> tuple[int, ...]:
    return () if vector is None else tuple(int(value) for value in vector)


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode("utf-8", errors="replace")


@cache
def _type_names() -> dict[int, str]:
    """Values of the schema's ``TensorType`` -> names in lower case."""
    from ai_edge_litert import schema_py_generated as schema

    return {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
