"""Rewrites a .tflite file: only what runtimes read, in a layout whose size follows from the graph alone.

Dropped: names, float ranges (min, max), description, converter metadata, signatures, shape signatures of which only the
batch is open, one empty buffer per activation. Kept: weights, every scale and zero point, options, custom operators,
variables, all subgraphs, tensor order (TFLM's planner breaks ties by it), and the metadata that runtimes obey. Shared:
the zero points of per-channel weights and biases, one vector per channel count; all are zero by
https://ai.google.dev/edge/litert/models/quantization_spec.

Every runtime computes the same bits as before: TFLM, LiteRT with XNNPACK, LiteRT with reference kernels.
Three savings that look free are not. Without its scale, the bias of a FULLY_CONNECTED whose multiplier
exceeds 0.02 is refused by TFLM (kernel_util.cc compares it with input scale x weight scale), and a
convolution falls out of XNNPACK and changes its rounding. Fewer zero points than scales are refused by
LiteRT, though TFLM takes one for all.

Bytes of the file of an int8 network, exactly; ``up(n, a)`` is n rounded up to a multiple of a, and so is the sum, to
16:

| part | bytes |
|---|---|
| each constant (weights, bias): length and data, 16-byte aligned | up(4 + data, 16) + 12 |
| each quantised tensor with n scales (1, or one per channel) | 20 + 4 n |
| each zero point of a per-tensor quantisation | 16 |
| each distinct channel count n > 1 of per-channel quantisations | 8 + 8 n |
| each tensor of rank r | 28 + 4 r; 24 + 4 r without quantisation, such as the constants of PAD and RESHAPE |
| each operator with i inputs and 1 output | 40 + 4 i + options |
| each kind of operator | 20 + layout |
| layout of tensors without quantisation, where there are any | 12 |
| once per file | 204 |

(options, layout): CONV_2D and DEPTHWISE_CONV_2D (32, 20), AVERAGE_POOL_2D (28, 16), FULLY_CONNECTED (12, 16),
ADD (8, 8), PAD (4, 4), SOFTMAX (8, 0; its layout is that of a buffer), RESHAPE (-4, 12; it has none).
Identical constants are not shared, even where the converter did: the size would depend on the weights. Exempt are those
of ``SHARED_BYTES`` or more and those without quantisation, whose equality is no accident.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.export.flatbuffer import FILE_IDENTIFIER, OFFLINE_PLAN, load

DATA_ALIGNMENT = 16  # schema.fbs: Buffer.data has force_align 16, for SIMD loads straight from flash
SHARED_BYTES = 4096  # the bias of 1,024 channels; biases may all be zero, larger constants of two layers never agree
# TFLM's planner obeys the first; XNNPACK computes in half precision where the second allows it and the processor can.
KEPT_METADATA = (OFFLINE_PLAN, b"reduced_precision_support")
COMPRESSION_METADATA = b"COMPRESSION_METADATA"  # of TFLM; refers to buffers by their numbers
LAST_OLD_OPERATOR_CODE = 127  # schema.fbs: what the deprecated 8-bit field holds for it and all later codes
SCHEMA_VERSION = 3

Code = tuple[int, int, bytes | None]  # operator, version, name of a custom operator


def slim(model: bytes) -> bytes:
    """Return an equivalent model without the bytes that no runtime reads; ``slim(slim(m)) == slim(m)``.

    A file that is as small already, such as one that leaves out every default, is returned as it is.

    Raises:
        InputError: not a TFLite model, or one with parts that this writer does not carry, such as data behind the end
            of the flatbuffer.
    """
    small = write_slim(load(model), len(model))
    return small if len(small) < len(model) else model


def write_slim(tree: Any, size: int, names: bool = False) -> bytes:
    """Write an unpacked model (``nas.export.flatbuffer.load``) of a file of ``size`` bytes.

    Args:
        names: keep those of tensors.

    Raises:
        InputError: as ``slim``.
    """
    _require_whole(tree)
    try:
        return _Writer(tree, size, names).write()
    except IndexError as error:  # a second subgraph with wrong references: load follows those of the first
        raise InputError(f"damaged TFLite model of {size:,} bytes: {error}") from error


def _require_whole(tree: Any) -> None:
    """Refuse what would get lost, rather than lose it."""
    tensors = [tensor for graph in tree.subgraphs for tensor in _list(graph.tensors)]
    operators = [operator for graph in tree.subgraphs for operator in _list(graph.operators)]
    odd = {
        "signatures of several subgraphs": any(item.subgraphIndex for item in _list(tree.signatureDefs)),
        "data outside the flatbuffer": any(buffer.offset for buffer in tree.buffers)
        or any(tensor.externalBuffer for tensor in tensors)
        or any(operator.largeCustomOptionsOffset for operator in operators),
        "compressed weights": any(item.name == COMPRESSION_METADATA for item in _list(tree.metadata)),
        "variant tensors": any(tensor.variantTensors for tensor in tensors),
    }
    found = [name for name, present in odd.items() if present]
    if found:
        raise InputError(f"cannot slim a model with {' and '.join(found)}: they would get lost")


class _Writer:
    """Writes one model back to front, as flatbuffers are.

    Parts of coarse alignment come first, each kind together: then no padding depends on the order of things.
    """

    def __init__(self, tree: Any, size: int, names: bool) -> None:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        self.tree, self.schema, self.names = tree, schema, names
        self.builder = flatbuffers.Builder(size)
        self.builder.ForceDefaults(True)  # else the size of a table would depend on the values in it
        self.data: list[int] = []  # the data of each new buffer
        self.shared_data: dict[int, int] = {}  # old buffer -> new buffer
        self.shared_zero_points: dict[int, int] = {}
        self.codes: list[Code] = []  # in order of first use

    def write(self) -> bytes:
        """Write all parts and return the file."""
        metadata = [item for item in _list(self.tree.metadata) if item.name in KEPT_METADATA]
        graphs = [_list(graph.tensors) for graph in self.tree.subgraphs]
        self.data.append(self._vector(np.empty(0, np.uint8), 1))  # buffer 0, to which activations refer
        positions = [[self._constant(tensor) for tensor in tensors] for tensors in graphs]
        note_positions = [self._buffer(_list(self.tree.buffers[item.buffer].data)) for item in metadata]
        zero_points = [[self._zero_points(tensor.quantization) for tensor in tensors] for tensors in graphs]
        buffers = [self._table("Buffer", Data=offset) for offset in self.data]
        written = [
            [self._tensor(*parts) for parts in zip(*lists, strict=True)]
            for lists in zip(graphs, zero_points, positions, strict=True)
        ]
        operators = [[self._operator(operator) for operator in _list(graph.operators)] for graph in self.tree.subgraphs]
        subgraphs = [self._subgraph(*parts) for parts in zip(self.tree.subgraphs, written, operators, strict=True)]
        codes = [self._operator_code(*code) for code in self.codes]
        notes = [self._metadata(*parts) for parts in zip(metadata, note_positions, strict=True)]
        return self._model(buffers, codes, subgraphs, notes)

    def _constant(self, tensor: Any) -> int:
        """Write the data of a tensor, if any, and return the number of its buffer."""
        values = self.tree.buffers[tensor.buffer].data
        if values is None or not len(values):
            return 0
        if _is_quantised(tensor.quantization) and len(values) < SHARED_BYTES:
            return self._buffer(values)
        if tensor.buffer not in self.shared_data:
            self.shared_data[tensor.buffer] = self._buffer(values)
        return self.shared_data[tensor.buffer]

    def _buffer(self, values: Any) -> int:
        self.data.append(self._vector(np.asarray(values, np.uint8), DATA_ALIGNMENT))
        return len(self.data) - 1

    def _zero_points(self, quantization: Any) -> int | None:
        if not _is_quantised(quantization) or quantization.zeroPoint is None:
            return None
        values = np.asarray(quantization.zeroPoint, "<i8")
        if len(values) == 1 or values.any():
            return self._vector(values, 8)
        if len(values) not in self.shared_zero_points:
            self.shared_zero_points[len(values)] = self._vector(values, 8)
        return self.shared_zero_points[len(values)]

    def _tensor(self, tensor: Any, zero_points: int | None, buffer: int) -> int:
        fields = {"Shape": self._ints(tensor.shape), "Buffer": buffer}
        if _is_quantised(tensor.quantization):
            fields["Quantization"] = self._quantization(tensor.quantization, zero_points)
        if self.names and tensor.name:
            fields["Name"] = self.builder.CreateString(tensor.name)
        if tensor.isVariable:
            fields["IsVariable"] = True
        if tensor.sparsity is not None:
            fields["Sparsity"] = tensor.sparsity.Pack(self.builder)
        if any(size < 0 for size in _list(tensor.shapeSignature)[1:]):
            fields["ShapeSignature"] = self._ints(tensor.shapeSignature)
        return self._table("Tensor", **fields, Type=tensor.type)

    def _quantization(self, quantization: Any, zero_points: int | None) -> int:
        fields = {"Scale": self._vector(np.asarray(_list(quantization.scale), "<f4"), 4)}
        if zero_points is not None:
            fields["ZeroPoint"] = zero_points
        if quantization.details is not None:
            fields["Details"] = quantization.details.Pack(self.builder)
            fields["DetailsType"] = quantization.detailsType
        return self._table("QuantizationParameters", **fields, QuantizedDimension=quantization.quantizedDimension)

    def _operator(self, operator: Any) -> int:
        self._align()
        fields = (
            {} if operator.builtinOptions is None else {"BuiltinOptions": operator.builtinOptions.Pack(self.builder)}
        )
        fields |= self._rare_operator_fields(operator)
        fields |= {"Inputs": self._ints(operator.inputs), "Outputs": self._ints(operator.outputs)}
        return self._table(
            "Operator",
            OpcodeIndex=self._code_index(operator),
            **fields,
            BuiltinOptionsType=operator.builtinOptionsType,
        )

    def _rare_operator_fields(self, operator: Any) -> dict[str, int]:
        fields = {}
        if operator.builtinOptions2 is not None:
            fields["BuiltinOptions2"] = operator.builtinOptions2.Pack(self.builder)
            fields["BuiltinOptions2Type"] = operator.builtinOptions2Type
        if operator.customOptions is not None:
            fields["CustomOptions"] = self._vector(np.asarray(operator.customOptions, np.uint8), DATA_ALIGNMENT)
        if operator.intermediates is not None:
            fields["Intermediates"] = self._ints(operator.intermediates)
        return fields

    def _code_index(self, operator: Any) -> int:
        code = self.tree.operatorCodes[operator.opcodeIndex]
        key = (max(code.builtinCode, code.deprecatedBuiltinCode), code.version, code.customCode)
        if key not in self.codes:
            self.codes.append(key)
        return self.codes.index(key)

    def _subgraph(self, graph: Any, tensors: Sequence[int], operators: Sequence[int]) -> int:
        return self._table(
            "SubGraph",
            Tensors=self._references(tensors),
            Inputs=self._ints(graph.inputs),
            Outputs=self._ints(graph.outputs),
            Operators=self._references(operators),
        )

    def _operator_code(self, number: int, version: int, custom: bytes | None) -> int:
        fields = {} if custom is None else {"CustomCode": self.builder.CreateString(custom)}
        fields["DeprecatedBuiltinCode"] = min(number, LAST_OLD_OPERATOR_CODE)
        return self._table("OperatorCode", BuiltinCode=number, Version=version, **fields)

    def _metadata(self, item: Any, buffer: int) -> int:
        return self._table("Metadata", Name=self.builder.CreateString(item.name), Buffer=buffer)

    def _model(self, buffers: list[int], codes: list[int], subgraphs: list[int], metadata: list[int]) -> bytes:
        fields = {
            "OperatorCodes": self._references(codes),
            "Subgraphs": self._references(subgraphs),
            "Buffers": self._references(buffers),
        }
        if metadata:
            fields["Metadata"] = self._references(metadata)
        self.builder.Finish(self._table("Model", Version=SCHEMA_VERSION, **fields), FILE_IDENTIFIER)
        return bytes(self.builder.Output())

    def _table(self, kind: str, **fields: int) -> int:
        """Write a table of the schema from field names (in the schema's spelling) and values or offsets."""
        self._align()
        getattr(self.schema, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            getattr(self.schema, f"{kind}Add{name}")(self.builder, value)
        return int(getattr(self.schema, f"{kind}End")(self.builder))

    def _align(self) -> None:
        """Begin a table at a multiple of 4; elsewhere it would be padded otherwise and need its own vtable."""
        self.builder.Prep(4, 0)

    def _ints(self, values: Sequence[int] | None) -> int:
        return self._vector(np.asarray(_list(values), "<i4"), 4)

    def _references(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def _vector(self, values: np.ndarray[Any, Any], alignment: int) -> int:
        """Write a vector; ``flatbuffers`` itself offers no alignment for bytes."""
        builder, raw = self.builder, values.tobytes()
        builder.StartVector(values.itemsize, len(values), alignment)
        builder.head = builder.head - len(raw)
        builder.Bytes[builder.head : builder.head + len(raw)] = raw
        return int(builder.EndVector())


def _is_quantised(quantization: Any) -> bool:
    return quantization is not None and (len(_list(quantization.scale)) > 0 or quantization.details is not None)


def _list(values: Iterable[Any] | None) -> list[Any]:
    """The elements of a vector that may be absent."""
    return [] if values is None else list(values)
