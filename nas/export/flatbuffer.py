"""What is inside a ``.tflite`` file: operators, tensors, and the quantisation of the input and the output.

The schema binding is the one that ships with ``ai_edge_litert``: it loads neither TensorFlow nor the LiteRT
runtime (0.03 s beyond numpy, against 2.8 s for ``tensorflow.lite.python.schema_py_generated``).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

from nas.errors import InputError

FILE_IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every .tflite file (schema.fbs: file_identifier)
OFFLINE_PLAN = b"OfflineMemoryAllocation"  # metadata with offsets of tensors, which TFLM's planner obeys


@dataclass(frozen=True)
class Tensor:
    """One tensor of the main subgraph."""

    index: int
    """Position in the subgraph; TFLM's memory planner breaks ties by it."""
    shape: tuple[int, ...]
    """NHWC for activations, OHWI for CONV_2D weights, 1HWO for DEPTHWISE_CONV_2D weights."""
    dtype: str
    """Name in the schema, in lower case: ``int8``, ``int32``, ``float32``."""
    scales: tuple[float, ...]
    """Empty: not quantised; one: per tensor; more: one per output channel."""
    zero_points: tuple[int, ...]
    data_bytes: int
    """Size of the constant data in the file; 0 for an activation."""

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class TensorDetail:
    """Shape and quantisation of a network input or output: real value = ``scale * (q - zero_point)``."""

    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


def load(model: bytes) -> Any:
    """Unpack a model into the schema's mutable object tree (``ModelT``).

    Raises:
        InputError: the bytes are not a TFLite flatbuffer.
    """
    from ai_edge_litert import schema_py_generated as schema

    if model[4:8] != FILE_IDENTIFIER:
        raise InputError(f"not a TFLite model: bytes 4 to 8 are {model[4:8]!r}, expected {FILE_IDENTIFIER!r}")
    try:
        tree = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
        _follow_references(tree)
    except (struct.error, IndexError, TypeError, ValueError) as error:
        raise InputError(f"damaged TFLite model of {len(model):,} bytes: {error}") from error
    return tree


def operator_names(model: bytes) -> list[str]:
    """List the operators in execution order, by their schema names: ``["CONV_2D", ..., "SOFTMAX"]``."""
    tree = load(model)
    return [operator_name(tree, operator) for operator in tree.subgraphs[0].operators]


def operator_name(tree: Any, operator: Any) -> str:
    """Name one operator of an unpacked model; a code beyond 127 sits in the newer of two fields."""
    code = tree.operatorCodes[operator.opcodeIndex]
    return _names("BuiltinOperator")[max(code.builtinCode, code.deprecatedBuiltinCode)]


def tensors(model: bytes) -> list[Tensor]:
    """List the tensors of the main subgraph in index order."""
    tree = load(model)
    return [_tensor(tree, index) for index in range(len(tree.subgraphs[0].tensors))]


def input_detail(model: bytes) -> TensorDetail:
    """Describe the first input."""
    tree = load(model)
    return _detail(tree, int(tree.subgraphs[0].inputs[0]))


def output_detail(model: bytes) -> TensorDetail:
    """Describe the first output."""
    tree = load(model)
    return _detail(tree, int(tree.subgraphs[0].outputs[0]))


def _follow_references(tree: Any) -> None:
    """Look up whatever the main subgraph refers to by number, since runtimes do it unchecked."""
    graph = tree.subgraphs[0]
    for tensor in graph.tensors:
        tree.buffers[tensor.buffer]
    for operator in graph.operators:
        tree.operatorCodes[operator.opcodeIndex]
        for index in (*operator.inputs, *operator.outputs):
            graph.tensors[index]


def _tensor(tree: Any, index: int) -> Tensor:
    raw = tree.subgraphs[0].tensors[index]
    data = tree.buffers[raw.buffer].data
    quantization = raw.quantization
    return Tensor(
        index=index,
        shape=() if raw.shape is None else tuple(int(size) for size in raw.shape),
        dtype=_names("TensorType")[raw.type].lower(),
        scales=() if quantization is None else _floats(quantization.scale),
        zero_points=() if quantization is None else _ints(quantization.zeroPoint),
        data_bytes=0 if data is None else len(data),
    )


def _detail(tree: Any, index: int) -> TensorDetail:
    tensor = _tensor(tree, index)
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        raise InputError(f"tensor {index} of the model is not quantised per tensor: {tensor.dtype}")
    return TensorDetail(tensor.shape, tensor.dtype, tensor.scales[0], tensor.zero_points[0])


def _floats(vector: Any) -> tuple[float, ...]:
    return () if vector is None else tuple(float(value) for value in vector)


def _ints(vector: Any) -> tuple[int, ...]:
    return () if vector is None else tuple(int(value) for value in vector)


@cache
def _names(enum: str) -> dict[int, str]:
    """Map the values of a schema enumeration to their names."""
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(getattr(schema, enum)).items() if isinstance(value, int)}
