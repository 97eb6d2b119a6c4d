"""What is inside a ``.tflite`` file: operators, tensors, and the quantisation of the input and the output.

The schema binding is the one that ships with ``ai_edge_litert``: it loads neither TensorFlow nor the LiteRT
runtime (0.03 s beyond numpy, against 2.8 s for ``tensorflow.lite.python.schema_py_generated``).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from nas.errors import InputError

FILE_IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every .tflite file (schema.fbs: file_identifier)
OFFLINE_PLAN = b"OfflineMemoryAllocation"  # metadata with offsets of tensors, which TFLM's planner obeys


# What following a damaged flatbuffer can end in: the binding checks nothing.
DAMAGE = (struct.error, IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError)
TABLE_BYTES = 8  # that a table takes in a file at least: the offset to it, and its own to a vtable
SHARED = 4  # times that the text of a file may be shared by its tables


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
        root = schema.Model.GetRootAsModel(model, 0)
        _require_no_bomb(root, len(model))
        tree = schema.ModelT.InitFromObj(root)
        _follow_references(tree)
    except DAMAGE as error:
        raise InputError(f"damaged TFLite model of {len(model):,} bytes: {error}") from error
    return tree


def operator_names(model: bytes) -> list[str]:
    """List the operators in execution order, by their schema names: ``["CONV_2D", ..., "SOFTMAX"]``."""
    tree = load(model)
    return [operator_name(tree, operator) for operator in tree.subgraphs[0].operators]


def operator_name(tree: Any, operator: Any) -> str:
    """Name one operator of an unpacked model; a code beyond 127 sits in the newer of two fields."""
    code = tree.operatorCodes[operator.opcodeIndex]
    return _name("BuiltinOperator", max(code.builtinCode, code.deprecatedBuiltinCode))


def tensors(model: bytes) -> list[Tensor]:
    """List the tensors of the main subgraph in index order."""
    tree = load(model)
    return [_tensor(tree, index) for index in range(len(tree.subgraphs[0].tensors))]


def input_detail(model: bytes) -> TensorDetail:
    """Describe the first input."""
    tree = load(model)
    return _detail(tree, tree.subgraphs[0].inputs, "input")


def output_detail(model: bytes) -> TensorDetail:
    """Describe the first output."""
    tree = load(model)
    return _detail(tree, tree.subgraphs[0].outputs, "output")


def _require_no_bomb(root: Any, size: int) -> None:
    """Refuse a file whose tables share each other, before they are unpacked into as many objects.

    Offsets may name the same table over and over, so that some kilobytes unpack into gigabytes. A sound file has each
    table once.

    Raises:
        ValueError: more tables, or more text, than a file of this size has room for.
    """
    tables = text = 0
    for count in _vectors(root):
        tables += count
        if tables * TABLE_BYTES > size:
            raise ValueError(f"{tables:,} tables or more in {size:,} bytes")
    for name in _texts(root):
        text += len(name or b"")
        if text > SHARED * size:
            raise ValueError(f"{text:,} bytes of names or more in {size:,}")


def _vectors(root: Any) -> Iterator[int]:
    """Lengths of all vectors of tables."""
    yield root.OperatorCodesLength()
    yield root.BuffersLength()
    yield root.MetadataLength()
    yield root.SignatureDefsLength()
    for position in range(root.SignatureDefsLength()):
        yield root.SignatureDefs(position).InputsLength()
        yield root.SignatureDefs(position).OutputsLength()
    yield root.SubgraphsLength()
    for graph in map(root.Subgraphs, range(root.SubgraphsLength())):
        yield graph.TensorsLength()
        yield graph.OperatorsLength()
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            yield tensor.VariantTensorsLength()
            if (sparsity := tensor.Sparsity()) is not None:
                yield sparsity.DimMetadataLength()


def _texts(root: Any) -> Iterator[bytes | None]:
    """All text of any length; reading it copies it."""
    yield root.Description()
    for code in map(root.OperatorCodes, range(root.OperatorCodesLength())):
        yield code.CustomCode()
    for item in map(root.Metadata, range(root.MetadataLength())):
        yield item.Name()
    for signature in map(root.SignatureDefs, range(root.SignatureDefsLength())):
        yield signature.SignatureKey()
        for entry in map(signature.Inputs, range(signature.InputsLength())):
            yield entry.Name()
        for entry in map(signature.Outputs, range(signature.OutputsLength())):
            yield entry.Name()
    for graph in map(root.Subgraphs, range(root.SubgraphsLength())):
        yield graph.Name()
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            yield tensor.Name()


def _follow_references(tree: Any) -> None:
    """Look up whatever the main subgraph refers to by number, since runtimes do it unchecked."""
    graph = tree.subgraphs[0]
    for item in (*graph.tensors, *(tree.metadata or ())):
        tree.buffers[item.buffer]
    for operator in graph.operators:
        tree.operatorCodes[operator.opcodeIndex]
        for index in (*operator.inputs, *operator.outputs):
            graph.tensors[index]
    for what, indices in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        for index in _ints(indices):
            if not 0 <= index < len(graph.tensors):
                raise IndexError(f"the model's {what} name tensor {index}, but there are {len(graph.tensors)}")


def _tensor(tree: Any, index: int) -> Tensor:
    raw = tree.subgraphs[0].tensors[index]
    data = tree.buffers[raw.buffer].data
    quantization = raw.quantization
    return Tensor(
        index=index,
        shape=() if raw.shape is None else tuple(int(size) for size in raw.shape),
        dtype=_name("TensorType", raw.type).lower(),
        scales=() if quantization is None else _floats(quantization.scale),
        zero_points=() if quantization is None else _ints(quantization.zeroPoint),
        data_bytes=0 if data is None else len(data),
    )


def _detail(tree: Any, indices: Any, what: str) -> TensorDetail:
    """Of the first of them."""
    if indices is None or not len(indices):
        raise InputError(f"the model has no {what}")
    index = int(indices[0])
    tensor = _tensor(tree, index)
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        raise InputError(f"tensor {index} of the model is not quantised per tensor: {tensor.dtype}")
    return TensorDetail(tensor.shape, tensor.dtype, tensor.scales[0], tensor.zero_points[0])


def _floats(vector: Any) -> tuple[float, ...]:
    return () if vector is None else tuple(float(value) for value in vector)


def _ints(vector: Any) -> tuple[int, ...]:
    return () if vector is None else tuple(int(value) for value in vector)


def _name(enum: str, value: int) -> str:
    """Of one value of a schema enumeration.

    Raises:
        InputError: it has no such value.
    """
    found = _names(enum).get(value)
    if found is None:
        raise InputError(f"the model has the {enum} {value}, which this version does not know")
    return found


@cache
def _names(enum: str) -> dict[int, str]:
    """Map the values of a schema enumeration to their names."""
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(getattr(schema, enum)).items() if isinstance(value, int)}
