"""Rewrites a .tflite file: only what runtimes read, in a layout whose size follows from the graph alone.

Dropped: names, float ranges (min, max), description, converter metadata, signatures, one empty buffer per
activation. Kept: weights, every scale and zero point, options, tensor order (TFLM's planner breaks ties by
it), and the metadata ``OfflineMemoryAllocation``, which TFLM obeys. Shared: the zero points of per-channel
weights and biases, one vector per channel count; all are zero by
https://ai.google.dev/edge/litert/models/quantization_spec.

Every runtime computes the same bits as before: TFLM, LiteRT with XNNPACK, LiteRT with reference kernels.
Three savings that look free are not. Without its scale, the bias of a FULLY_CONNECTED whose multiplier
exceeds 0.02 is refused by TFLM (kernel_util.cc compares it with input scale x weight scale), and a
convolution falls out of XNNPACK and changes its rounding. Fewer zero points than scales are refused by
LiteRT, though TFLM takes one for all.

Bytes of the file, exactly; ``up(n, a)`` is n rounded up to a multiple of a, and so is the sum, to 16:

| part | bytes |
|---|---|
| each constant (weights, bias): length and data, 16-byte aligned | up(4 + data, 16) + 12 |
| each quantised tensor with n scales (1, or one per channel) | 20 + 4 n |
| each zero point of a per-tensor quantisation | 16 |
| each distinct channel count n > 1 of per-channel quantisations | 8 + 8 n |
| each tensor of rank r | 28 + 4 r |
| each operator with i inputs and 1 output | 40 + 4 i + options |
| each kind of operator | 20 + layout |
| once per file | 204 |

(options, layout): CONV_2D and DEPTHWISE_CONV_2D (32, 20), AVERAGE_POOL_2D (28, 16), FULLY_CONNECTED (12, 16),
ADD (8, 8), SOFTMAX (8, 0; its layout is that of a buffer). Identical constants are not shared: the size would
depend on the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.errors import InputError
from nas.export.flatbuffer import FILE_IDENTIFIER, load

DATA_ALIGNMENT = 16  # schema.fbs: Buffer.data has force_align 16, for SIMD loads straight from flash
KEPT_METADATA = (b"OfflineMemoryAllocation",)  # TFLM's planner obeys it; everything else is for tools
LAST_OLD_OPERATOR_CODE = 127  # schema.fbs: what the deprecated 8-bit field holds for it and all later codes
SCHEMA_VERSION = 3


def slim(model: bytes) -> bytes:
    """Return an equivalent model without the bytes that no runtime reads; ``slim(slim(m)) == slim(m)``.

    Raises:
        InputError: not a TFLite model, or one with parts that this writer does not carry, such as variables.
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
    """Writes one model back to front, as flatbuffers are.

    Parts of coarse alignment come first, each kind together: then no padding depends on the order of things.
    """

    def __init__(self, tree: Any, size: int) -> None:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema

        self.tree, self.graph, self.schema = tree, tree.subgraphs[0], schema
        self.builder = flatbuffers.Builder(size)
        self.builder.ForceDefaults(True)  # else the size of a table would depend on the values in it
        self.shared_zero_points: dict[int, int] = {}
        self.codes: list[tuple[int, int]] = []  # (operator, version), in order of first use

    def write(self) -> bytes:
        """Write all parts and return the file."""
        metadata = [item for item in self.tree.metadata or [] if item.name in KEPT_METADATA]
        # Buffer 0 is the empty one that activations refer to.
        data = [self._vector(np.empty(0, np.uint8), 1)]
        positions = [self._constant(item.buffer, data) for item in (*self.graph.tensors, *metadata)]
        zero_points = [self._zero_points(tensor.quantization) for tensor in self.graph.tensors]
        buffers = [self._table("Buffer", Data=offset) for offset in data]
        tensors = [self._tensor(*part) for part in zip(self.graph.tensors, zero_points, positions, strict=False)]
        subgraph = self._subgraph(tensors, [self._operator(operator) for operator in self.graph.operators])
        codes = [self._operator_code(*code) for code in self.codes]
        notes = [self._metadata(*parts) for parts in zip(metadata, positions[len(tensors) :], strict=True)]
        return self._model(buffers, codes, subgraph, notes)

    def _constant(self, buffer: int, data: list[int]) -> int:
        """Write the data of an old buffer, if any, and return the number of its new buffer."""
        values = self.tree.buffers[buffer].data
        if values is None or not len(values):
            return 0
        data.append(self._vector(np.asarray(values, np.uint8), DATA_ALIGNMENT))
        return len(data) - 1

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
        self._align()
        fields = {} if options is None else {"BuiltinOptions": options.Pack(self.builder)}
        fields |= {"Inputs": self._ints(operator.inputs), "Outputs": self._ints(operator.outputs)}
        return self._table(
            "Operator",
            OpcodeIndex=self._code_index(operator),
            **fields,
            BuiltinOptionsType=operator.builtinOptionsType,
        )

    def _code_index(self, operator: Any) -> int:
        code = self.tree.operatorCodes[operator.opcodeIndex]
        key = (max(code.builtinCode, code.deprecatedBuiltinCode), code.version)
        if key not in self.codes:
            self.codes.append(key)
        return self.codes.index(key)

    def _subgraph(self, tensors: Sequence[int], operators: Sequence[int]) -> int:
        return self._table(
            "SubGraph",
            Tensors=self._references(tensors),
            Inputs=self._ints(self.graph.inputs),
            Outputs=self._ints(self.graph.outputs),
            Operators=self._references(operators),
        )

    def _operator_code(self, number: int, version: int) -> int:
        deprecated = min(number, LAST_OLD_OPERATOR_CODE)
        return self._table("OperatorCode", BuiltinCode=number, Version=version, DeprecatedBuiltinCode=deprecated)

    def _metadata(self, item: Any, buffer: int) -> int:
        return self._table("Metadata", Name=self.builder.CreateString(item.name), Buffer=buffer)

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
        self._align()
        getattr(self.schema, f"{kind}Start")(self.builder)
        for name, value in fields.items():
            getattr(self.schema, f"{kind}Add{name}")(self.builder, value)
        return int(getattr(self.schema, f"{kind}End")(self.builder))

    def _align(self) -> None:
        """Begin a table at a multiple of 4; elsewhere it would be padded otherwise and need its own vtable."""
        self.builder.Prep(4, 0)

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
