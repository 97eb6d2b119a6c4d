"""Rewrites a .tflite file so that it holds what the runtimes read, in a layout whose size follows from the graph.

Dropped: tensor, subgraph and signature names, float ranges (min, max), description, converter metadata, signatures, one empty
buffer per activation. Kept: weights, every scale and zero point, options, tensor order (TFLM's planner breaks ties by it), and the
``OfflineMemoryAllocation`` metadata, which TFLM obeys. Shared: the zero points of per-channel weights and biases, all zero by
the int8 specification (https://ai.google.dev/edge/litert/models/quantization_spec), one vector per channel count.

Every runtime reads the result as it read the original: same outputs to the bit in TFLM, LiteRT/XNNPACK and LiteRT reference.
Three savings that look free are not: without its scale the bias of a FULLY_CONNECTED whose multiplier exceeds 0.02 is refused by TFLM
(kernel_util.cc compares it with input scale x weight scale), and that of a convolution throws the operator out of XNNPACK;
LiteRT refuses zero points that are fewer than the scales, though TFLM reads one as all.

Where the bytes go, from the end of the file backwards (all sizes in bytes; ``up(n, a)`` rounds n up to a multiple of a):

| part | bytes |
|---|---|
| each constant: length and data, 16-byte aligned | up(4 + data, 16) |
| zero points: each per-tensor one; each distinct channel count n | 16; 8 + 8 n |
| buffer table and its reference, per constant | 12 |
| quantisation: table and n scales, per tensor | 16 + 4 + 4 n |
| tensor table, its reference and a shape of rank r | 24 + 4 + 4 r |
| operator table, its reference, i inputs and one output | 28 + 4 + 4 i + 8 |
| operator options, per operator | `OPTIONS_BYTES` in tests/export/test_slim.py |
| operator code and its reference, vtable of the options: per kind | 20 + vtable |
| everything that each file has once | 252 |

and the sum is rounded up to 16. Identical constants are not shared: then the size would depend on the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.export.flatbuffer import FILE_IDENTIFIER, load

DATA_ALIGNMENT = 16  # schema.fbs: Buffer.data has force_align 16, for SIMD loads straight from flash
KEPT_METADATA = (b"OfflineMemoryAllocation",)  # TFLM's planner obeys it; everything else is for tools
LAST_OLD_OPERATOR_CODE = 127  # schema.fbs: higher codes do not fit the deprecated 8-bit field and put 127 there
SCHEMA_VERSION = 3


def slim(model: bytes) -> bytes:
    """Return an equivalent model without the bytes that no runtime reads; ``slim(slim(m)) == slim(m)``.

    Raises:
        InputError: not a TFLite model, or it has what this writer does not carry (several subgraphs, variables, custom operators).
    """
    tree = load(model)
    _require_plain(tree)
    return _Writer(tree, len(model)).write()


def _require_plain(tree: Any) -> None:
    """Refuse what would get lost, rather than lose it."""
    graph = tree.subgraphs[0]
    odd = {
        f"{len(tree.subgraphs)} subgraphs": len(tree.subgraphs) != 1,
        "a variable tensor": any(tensor.isVariable for tensor in graph.tensors),
        "a sparse tensor": any(tensor.sparsity is not None for tensor in graph.tensors),
        "a custom operator": any(code.customCode is not None for code in tree.operatorCodes),
        "data outside the flatbuffer": any(buffer.offset for buffer in tree.buffers),
    }
    found = [name for name, present in odd.items() if present]
    if found:
        raise InputError(f"cannot slim a model with {' and '.join(found)}: expected one plain int8 graph")


class _Writer:
    """Writes one model back to front, as flatbuffers are; parts with coarse alignment first, so that no padding depends on order."""

    def __init__(self, tree: Any, size: int) -> None:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        self.tree, self.graph, self.schema = tree, tree.subgraphs[0], schema
        self.builder = flatbuffers.Builder(size)
        self.builder.ForceDefaults(True)  # else the size of a table would depend on the values in it
        self.shared_zero_points: dict[int, int] = {}

    def write(self) -> bytes:
        """Write all parts and return the file."""
        buffers, metadata = self._buffers()
        zero_points = [self._zero_points(tensor.quantization) for tensor in self.graph.tensors]
        tables = [self._table("Buffer", Data=data) for data in buffers.values()]
        positions = {old: new for new, old in enumerate(buffers)}
        tensors = [
            self._tensor(tensor, zeros, positions.get(tensor.buffer, 0))
            for tensor, zeros in zip(self.graph.tensors, zero_points, strict=True)
        ]
        operators = [self._operator(operator) for operator in self.graph.operators]
        subgraph = self._subgraph(tensors, operators)
        codes = [self._operator_code(code) for code in self.tree.operatorCodes]
        return self._model(tables, codes, subgraph, [self._metadata(item, positions) for item in metadata])

    def _buffers(self) -> tuple[dict[int, int], list[Any]]:
        """Write the constants; buffer 0 stays the empty one that activations refer to.

        Returns:
            Offset of each kept buffer by its old index (in the new order), and the kept metadata.
        """
        metadata = [item for item in self.tree.metadata or [] if item.name in KEPT_METADATA]
        used = [tensor.buffer for tensor in self.graph.tensors] + [item.buffer for item in metadata]
        data = {index: self.tree.buffers[index].data for index in used if index}
        empty = {0: self._vector(np.empty(0, np.uint8), 1)}
        return empty | {
            index: self._vector(np.asarray(values, np.uint8), DATA_ALIGNMENT)
            for index, values in data.items()
            if values is not None and len(values)
        }, metadata

    def _zero_points(self, quantization: Any) -> int | None:
        if not _is_quantised(quantization):
            return None
        values = np.asarray(quantization.zeroPoint, "<i8")
        if len(values) == 1 or values.any():
            return self._vector(values, 8)
        if len(values) not in self.shared_zero_points:
            self.shared_zero_points[len(values)] = self._vector(values, 8)
        return self.shared_zero_points[len(values)]

    def _tensor(self, tensor: Any, zero_points: int | None, buffer: int) -> int:
        fields = {"Shape": self._ints([] if tensor.shape is None else tensor.shape), "Buffer": buffer}
        if zero_points is not None:
            quantization = tensor.quantization
            fields["Quantization"] = self._table(
                "QuantizationParameters",
                Scale=self._vector(np.asarray(quantization.scale, "<f4"), 4),
                ZeroPoint=zero_points,
                QuantizedDimension=quantization.quantizedDimension,
            )
        return self._table("Tensor", **fields, Type=tensor.type)

    def _operator(self, operator: Any) -> int:
        options = operator.builtinOptions
        fields = {} if options is None else {"BuiltinOptions": options.Pack(self.builder)}
        fields |= {"Inputs": self._ints(operator.inputs), "Outputs": self._ints(operator.outputs)}
        return self._table(
            "Operator", OpcodeIndex=operator.opcodeIndex, **fields, BuiltinOptionsType=operator.builtinOptionsType
        )

    def _subgraph(self, tensors: Sequence[int], operators: Sequence[int]) -> int:
        return self._table(
            "SubGraph",
            Tensors=self._references(tensors),
            Inputs=self._ints(self.graph.inputs),
            Outputs=self._ints(self.graph.outputs),
            Operators=self._references(operators),
        )

    def _operator_code(self, code: Any) -> int:
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        return self._table(
            "OperatorCode",
            BuiltinCode=number,
            Version=code.version,
            DeprecatedBuiltinCode=min(number, LAST_OLD_OPERATOR_CODE),
        )

    def _metadata(self, item: Any, positions: dict[int, int]) -> int:
        return self._table("Metadata", Name=self.builder.CreateString(item.name), Buffer=positions[item.buffer])

    def _model(self, buffers: list[int], codes: list[int], subgraph: int, metadata: list[int]) -> bytes:
        fields = {
            "OperatorCodes": self._references(codes),
            "Subgraphs": self._references([subgraph]),
            "Buffers": self._references(buffers),
        }
        if metadata:
            fields["Metadata"] = self._references(metadata)
        self.builder.Finish(self._table("Model", Version=SCHEMA_VERSION, **fields), FILE_IDENTIFIER)
        return bytes(self.builder.Output())

    def _table(self, kind: str, **fields: int) -> int:
        """Write a table of the schema from field names (in the schema's spelling) and values or offsets."""
        getattr(self.schema, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            getattr(self.schema, f"{kind}Add{name}")(self.builder, value)
        return int(getattr(self.schema, f"{kind}End")(self.builder))

    def _ints(self, values: Sequence[int]) -> int:
        return self._vector(np.asarray(values, "<i4"), 4)

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
    return quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
