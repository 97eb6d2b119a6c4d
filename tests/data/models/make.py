"""Writes the models beside this file: ``python tests/data/models/make.py``.

Small graphs, built straight from the schema, that hold every operator kind that ``nas.cost.tflm_sizes`` knows, in the
types that change what its kernel asks for. All but ``custom.tflite`` load in TensorFlow Lite Micro; none computes
anything of interest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

MAP = (1, 4, 6, 4)
VECTOR = (1, 8)
QUANTISED = ("int8", "uint8", "int16")
SCALES = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "SOFTMAX": (1 / 256, -128), "LOG_SOFTMAX": (16 / 256, 127)}
UNIT = 1 / 32768  # scale of int16 outputs of SOFTMAX, TANH and LOGISTIC
FLOAT_FUNCTIONS = [
    "ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOG", "LOG_SOFTMAX", "LOGISTIC", "NEG", "RELU", "RELU6",
    "ROUND", "RSQRT", "SIN", "SQRT", "SQUARE", "TANH", "ZEROS_LIKE",
]  # fmt: skip
COMPARISONS = {
    "EQUAL": "EqualOptions",
    "NOT_EQUAL": "NotEqualOptions",
    "GREATER": "GreaterOptions",
    "GREATER_EQUAL": "GreaterEqualOptions",
    "LESS": "LessOptions",
    "LESS_EQUAL": "LessEqualOptions",
}
ARITHMETIC = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "SQUARED_DIFFERENCE": "SquaredDifferenceOptions",
    "FLOOR_DIV": "FloorDivOptions",
    "FLOOR_MOD": "FloorModOptions",
}
WINDOW = {"padding": 0, "strideW": 1, "strideH": 1}
DILATION = {"dilationWFactor": 1, "dilationHFactor": 1}


class Model:
    """Collects tensors and operators; every method returns tensor indices."""

    def __init__(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.buffers = [schema.BufferT()]
        self.codes: list[Any] = []

    def tensor(
        self,
        shape: Iterable[int],
        dtype: str = "int8",
        data: Any = None,
        scales: Iterable[float] | None = None,
        zero_point: int = 0,
        variable: bool = False,
    ) -> int:
        """Append a tensor; quantised types get a scale of 0.5 if none is named."""
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.isVariable = list(shape), getattr(schema.TensorType, dtype.upper()), variable
        if data is not None:
            tensor.buffer = self._buffer(np.broadcast_to(data, tensor.shape).astype(dtype))
        if scales is None and dtype in QUANTISED:
            scales = (0.5,)
        if scales is not None:
            quantization = tensor.quantization = schema.QuantizationParametersT()
            quantization.scale = np.array(list(scales), np.float32)
            quantization.zeroPoint = np.full(len(quantization.scale), zero_point, np.int64)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, values: Any, dtype: str = "int32") -> int:
        """Append a constant that is no weight: a shape, axes, paddings."""
        return self.tensor(np.shape(values), dtype, np.asarray(values))

    def op(self, kind: str, inputs: Iterable[int], outputs: Any, table: str = "", **fields: Any) -> int:
        """Append an operator; return its first output. A kind in lower case is a custom operator."""
        outputs = [outputs] if isinstance(outputs, int) else list(outputs)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._code(kind), list(inputs), outputs
        if table:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = options = getattr(schema, f"{table}T")()
            for name, value in fields.items():
                setattr(options, name, value)
        self.graph.operators.append(operator)
        return outputs[0]

    def pack(self, inputs: list[int], outputs: list[int], offsets: list[int] | None = None) -> bytes:
        """Finish the file, with an offline memory plan if there are offsets."""
        self.graph.inputs, self.graph.outputs = inputs, outputs
        model = schema.ModelT()
        model.version, model.subgraphs, model.operatorCodes = 3, [self.graph], self.codes
        if offsets is not None:
            note = schema.MetadataT()
            note.name = b"OfflineMemoryAllocation"
            note.buffer = self._buffer(np.array([1, 0, len(offsets), *offsets], np.int32))
            model.metadata = [note]
        model.buffers = self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _buffer(self, values: Any) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.buffers.append(buffer)
        return len(self.buffers) - 1

    def _code(self, kind: str) -> int:
        code = schema.OperatorCodeT()
        if kind.islower():
            code.customCode, kind = kind.encode(), "CUSTOM"
        code.version, code.builtinCode = 1, getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        self.codes.append(code)
        return len(self.codes) - 1

    def conv(self, x: int, channels: int, dtype: str = "int8", weights: str = "int8", kind: str = "CONV_2D") -> int:
        """A 3 x 3 convolution with bias that keeps the size of the map."""
        shape, depthwise = list(self.graph.tensors[x].shape), kind == "DEPTHWISE_CONV_2D"
        kernel = (1, 3, 3, channels) if depthwise else (channels, 3, 3, shape[3])
        is_float = dtype == "float32"
        w = self.tensor(kernel, dtype if is_float else weights, 1, None if is_float else [0.1] * channels)
        bias = {"float32": "float32", "int8": "int32", "int16": "int64"}[dtype]
        if depthwise and not is_float:
            self.graph.tensors[w].quantization.quantizedDimension = 3
        b = self.tensor((channels,), bias, 0, None if is_float else [0.05] * channels)
        if depthwise:
            table, fields = "DepthwiseConv2DOptions", {**WINDOW, **DILATION, "depthMultiplier": channels // shape[3]}
        else:
            table, fields = "Conv2DOptions", {**WINDOW, **DILATION}
        return self.op(kind, (x, w, b), self.tensor((*shape[:3], channels), dtype), table, **fields)

    def dense(self, x: int, inputs: int, outputs: int, dtype: str = "int8", scales: int = 1) -> int:
        """A fully connected layer, per tensor or with a scale for each output."""
        is_float = dtype == "float32"
        w = self.tensor((outputs, inputs), dtype if is_float else "int8", 1, None if is_float else [0.1] * scales)
        b = self.tensor((outputs,), dtype if is_float else "int32", 0, None if is_float else [0.05] * scales)
        y = self.tensor((1, outputs), dtype)
        return self.op("FULLY_CONNECTED", (x, w, b), y, "FullyConnectedOptions")

    def pool(self, kind: str, x: int, dtype: str) -> int:
        """A 2 x 2 pooling that keeps the size of the map."""
        y = self.tensor(self.graph.tensors[x].shape, dtype)
        return self.op(kind, (x,), y, "Pool2DOptions", **WINDOW, filterWidth=2, filterHeight=2)

    def same(self, kind: str, *inputs: int, table: str = "", dtype: str | None = None, **fields: Any) -> int:
        """An operator whose output has the shape, and unless named the type, of its first input."""
        first = self.graph.tensors[inputs[0]]
        names = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
        dtype = dtype or names[first.type]
        scale, zero = (UNIT, 0) if dtype == "int16" and kind in SCALES else SCALES.get(kind, (0.5, 0))
        scales = (scale,) if dtype in QUANTISED else None
        return self.op(kind, inputs, self.tensor(first.shape, dtype, None, scales, zero), table, **fields)


def float_cnn() -> bytes:
    """Convolutions have vectors per channel in float models too, fully connected layers have not."""
    m = Model()
    x = image = m.tensor(MAP, "float32")
    x = m.conv(x, 5, "float32")
    x = m.conv(x, 10, "float32", kind="DEPTHWISE_CONV_2D")
    for kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D", "L2_POOL_2D"):
        x = m.pool(kind, x, "float32")
    shape = m.constant((1, 240))
    x = m.op("RESHAPE", (x, shape), m.tensor((1, 240), "float32"), "ReshapeOptions", newShape=[1, 240])
    x = m.same("SOFTMAX", m.dense(x, 240, 3, "float32"), table="SoftmaxOptions", beta=1.0)
    return m.pack([image], [x])


def uint8_io() -> bytes:
    """An int8 network that takes and gives uint8."""
    m = Model()
    image = m.tensor(MAP, "uint8", zero_point=128)
    x = m.op("QUANTIZE", (image,), m.tensor(MAP))
    x = m.conv(x, 3)
    x = m.op("DEQUANTIZE", (x,), m.tensor((1, 4, 6, 3), "float32"))
    x = m.op("QUANTIZE", (x,), m.tensor((1, 4, 6, 3), "uint8"))
    return m.pack([image], [x])


def residual_concat() -> bytes:
    """Branches that live long, a mean with scratch buffers, two outputs, a tensor that nobody uses."""
    m = Model()
    image = m.tensor(MAP)
    x = m.conv(image, 4)
    m.tensor((1, 9, 9, 4))
    y = m.conv(x, 4, kind="DEPTHWISE_CONV_2D")
    x = m.same("ADD", x, y, table="AddOptions")
    x = m.op("CONCATENATION", (x, image, y), m.tensor((1, 4, 6, 12)), "ConcatenationOptions", axis=3)
    for kind, shape, axes in (("MEAN", (1, 1, 6, 12), [1]), ("SUM", (1, 12), [1, 2]), ("REDUCE_MAX", (1,), [1])):
        x = m.op(kind, (x, m.constant(axes)), m.tensor(shape), "ReducerOptions", keepDims=kind == "MEAN")
    z = m.op("RESHAPE", (y,), m.tensor((1, 96)), "ReshapeOptions", newShape=[1, 96])
    z = m.dense(m.dense(z, 96, 10, scales=10), 10, 5)
    return m.pack([image], [z, x])


def resize() -> bytes:
    """Maps that grow: accumulators of the transposed convolution are a scratch buffer of four times its output."""
    m = Model()
    x = image = m.tensor(MAP)
    w, b = m.tensor((3, 2, 2, 4), data=1, scales=[0.1] * 3), m.tensor((3,), "int32", 0, [0.05] * 3)
    shape = m.constant((1, 8, 12, 3))
    inputs, fields = (shape, w, x, b), {"padding": 0, "strideW": 2, "strideH": 2}
    x = m.op("TRANSPOSE_CONV", inputs, m.tensor((1, 8, 12, 3)), "TransposeConvOptions", **fields)
    for kind, table in (
        ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
        ("RESIZE_BILINEAR", "ResizeBilinearOptions"),
    ):
        x = m.op(kind, (x, m.constant((9, 13))), m.tensor((1, 9, 13, 3)), table)
    margin = m.constant([[0, 0], [1, 1], [1, 1], [0, 0]])
    x = m.op("MIRROR_PAD", (x, margin), m.tensor((1, 11, 15, 3)), "MirrorPadOptions")
    x = m.op("PAD", (x, margin), m.tensor((1, 13, 17, 3)), "PadOptions")
    x = m.op("PADV2", (x, margin, m.tensor((), data=1)), m.tensor((1, 15, 19, 3)), "PadV2Options")
    return m.pack([image], [x])


def strided_slice() -> bytes:
    """A shape that is computed, as converters write it for a flatten of unknown batch."""
    m = Model()
    image = m.tensor(MAP)
    shape = m.op("SHAPE", (image,), m.tensor((4,), "int32"), "ShapeOptions", outType=2)
    cut = (shape, *(m.constant([value]) for value in (0, 1, 1)))
    batch = m.op("STRIDED_SLICE", cut, m.tensor((), "int32"), "StridedSliceOptions", shrinkAxisMask=1)
    both = (batch, m.constant(96))
    shape = m.op("PACK", both, m.tensor((2,), "int32"), "PackOptions", valuesCount=2)
    x = m.op("RESHAPE", (image, shape), m.tensor((1, 96)), "ReshapeOptions")
    return m.pack([image], [m.dense(x, 96, 4)])


def offline_plan() -> bytes:
    """Some offsets given, overlapping and not in order; a scratch buffer and two tensors left to TFLM."""
    m = Model()
    x = image = m.tensor(MAP)
    maps = [image]
    for _ in range(4):
        maps.append(x := m.same("RELU", x))
    mean = m.op("MEAN", (x, m.constant([1, 2])), m.tensor((1, 4)), "ReducerOptions")
    return m.pack([image], [mean], [32, -1, 160, 64, -1, -1, 16])


def svdf() -> bytes:
    """State in variable tensors, outside the plan."""
    m = Model()
    x = sound = m.tensor(VECTOR, scales=[0.1])
    units, rank, memory = 4, 2, 5
    constants = (
        m.tensor((units * rank, 8), data=1, scales=[0.1]),
        m.tensor((units * rank, memory), "int16", 1, [0.1]),
        m.tensor((units,), "int32", 0, [0.01]),
    )
    state = m.tensor((1, units * rank * memory), "int16", scales=[0.1], variable=True)
    y = m.tensor((1, units), scales=[0.1])
    x = m.op("SVDF", (x, *constants, state), y, "SVDFOptions", rank=rank)
    return m.pack([sound], [x])


def lstm() -> bytes:
    """Four gates in scratch buffers, two states in variable tensors, inputs that are left out."""
    m = Model()
    sound = m.tensor((1, 6, 3), scales=[1 / 128])
    units = 5
    weights = [m.tensor((units, 3), data=1, scales=[0.01]) for _ in range(4)]
    recurrent = [m.tensor((units, units), data=1, scales=[0.01]) for _ in range(4)]
    biases = [m.tensor((units,), "int32", 0, [0.0001]) for _ in range(4)]
    states = [
        m.tensor((1, units), scales=[1 / 128], variable=True),
        m.tensor((1, units), "int16", scales=[1 / 2048], variable=True),
    ]
    inputs = [sound, *weights, *recurrent, *3 * [-1], *biases, *2 * [-1], *states, *4 * [-1]]
    y = m.tensor((1, 6, units), scales=[1 / 128])
    table = "UnidirectionalSequenceLSTMOptions"
    m.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, y, table, fusedActivationFunction=4)
    gates = [m.tensor((0,), "int16", scales=[1 / 4096]) for _ in range(4)]
    m.graph.operators[-1].intermediates = [*gates, m.tensor((0,), scales=[1 / 128])]
    return m.pack([sound], [y])


def int16() -> bytes:
    """Activations of 16 bits; SOFTMAX keeps two tables for them."""
    m = Model()
    x = image = m.tensor(MAP, "int16")
    x = m.conv(m.conv(x, 5, "int16"), 5, "int16", kind="DEPTHWISE_CONV_2D")
    x = m.op("MEAN", (x, m.constant([1, 2])), m.tensor((1, 5), "int16"), "ReducerOptions")
    for kind, table in (("TANH", ""), ("LOGISTIC", ""), ("SOFTMAX", "SoftmaxOptions")):
        x = m.same(kind, x, table=table)
    return m.pack([image], [x])


def matmul() -> bytes:
    """Products of activations: operands that have to be transposed are kept, with a tensor of their own."""
    m = Model()
    ends = {}
    for dtype in ("int8", "float32"):
        for turned in ((False, True), (True, False)):
            a = m.tensor((2, 4, 3) if turned[0] else (2, 3, 4), dtype)
            b = m.tensor((2, 5, 4) if turned[1] else (2, 4, 5), dtype)
            y = m.tensor((2, 3, 5), dtype)
            ends[m.op("BATCH_MATMUL", (a, b), y, "BatchMatMulOptions", adjX=turned[0], adjY=turned[1])] = (a, b)
    return m.pack([tensor for pair in ends.values() for tensor in pair], list(ends))


def functions() -> bytes:
    """All functions of one operand, in float; those with another state in int8 again."""
    m = Model()
    x = image = m.tensor(VECTOR, "float32")
    for kind in FLOAT_FUNCTIONS:
        x = m.same(kind, x)
    x = m.same("LEAKY_RELU", x, table="LeakyReluOptions", alpha=0.1)
    x = m.same("PRELU", x, m.tensor((8,), "float32", 1))
    x = m.same("L2_NORMALIZATION", x, table="L2NormOptions")
    y = m.same("CAST", x, table="CastOptions", dtype="int8")
    y = m.same("LOG_SOFTMAX", y)
    y = m.same("CUMSUM", y, m.constant(1), table="CumsumOptions")
    x = m.same("CUMSUM", x, m.constant(1), table="CumsumOptions")
    axis = m.constant(1)
    z = m.op("ARG_MAX", (y, axis), m.tensor((1,), "int32"), "ArgMaxOptions", outputType=2)
    u = m.op("ARG_MIN", (x, axis), m.tensor((1,), "int32"), "ArgMinOptions", outputType=2)
    return m.pack([image], [z, u])


def arithmetic() -> bytes:
    """All functions of two operands and more."""
    m = Model()
    x = image = m.tensor(VECTOR, "float32")
    one = m.tensor(VECTOR, "float32", 1)
    for kind, table in ARITHMETIC.items():
        x = m.same(kind, x, one, table=table)
    x = m.same("ADD_N", x, image, one, table="AddNOptions")
    flags = [m.same(kind, x, one, table=table, dtype="bool") for kind, table in COMPARISONS.items()]
    both = m.same("LOGICAL_AND", *flags[:2], table="LogicalAndOptions")
    either = m.same("LOGICAL_OR", *flags[2:4], table="LogicalOrOptions")
    no = m.same("LOGICAL_NOT", flags[4], table="LogicalNotOptions")
    every = m.op("REDUCE_ALL", (no, m.constant([1])), m.tensor((1,), "bool"), "ReducerOptions")
    x = m.op("SELECT_V2", (both, x, one), m.tensor(VECTOR, "float32"), "SelectV2Options")
    low = m.op("REDUCE_MIN", (x, m.constant([1])), m.tensor((1,), "float32"), "ReducerOptions")
    y = m.tensor(VECTOR)
    return m.pack([image, y], [every, either, flags[5], low, m.same("ADD_N", y, y, table="AddNOptions")])


def shapes() -> bytes:
    """All operators that only move data."""
    m = Model()
    x = image = m.tensor(MAP)
    x = m.op("DEPTH_TO_SPACE", (x,), m.tensor((1, 8, 12, 1)), "DepthToSpaceOptions", blockSize=2)
    x = m.op("SPACE_TO_DEPTH", (x,), m.tensor(MAP), "SpaceToDepthOptions", blockSize=2)
    block, none = m.constant([2, 2]), m.constant([[0, 0], [0, 0]])
    x = m.op("SPACE_TO_BATCH_ND", (x, block, none), m.tensor((4, 2, 3, 4)), "SpaceToBatchNDOptions")
    x = m.op("BATCH_TO_SPACE_ND", (x, block, none), m.tensor(MAP), "BatchToSpaceNDOptions")
    x = m.op("TRANSPOSE", (x, m.constant([0, 2, 1, 3])), m.tensor((1, 6, 4, 4)), "TransposeOptions")
    x = m.op("REVERSE_V2", (x, m.constant([1])), m.tensor((1, 6, 4, 4)), "ReverseV2Options")
    a, b = m.tensor((1, 6, 4, 2)), m.tensor((1, 6, 4, 2))
    m.op("SPLIT", (m.constant(3), x), (a, b), "SplitOptions", numSplits=2)
    c, d = m.tensor((1, 2, 4, 2)), m.tensor((1, 4, 4, 2))
    m.op("SPLIT_V", (a, m.constant([2, 4]), m.constant(1)), (c, d), "SplitVOptions", numSplits=2)
    start = m.constant([0, 0, 0, 0])
    b = m.op("SLICE", (b, start, m.constant([1, 2, 4, 2])), m.tensor((1, 2, 4, 2)), "SliceOptions")
    d = m.op("DYNAMIC_UPDATE_SLICE", (d, b, start), m.tensor((1, 4, 4, 2)), "DynamicUpdateSliceOptions")
    e, f = m.tensor((1, 4, 2)), m.tensor((1, 4, 2))
    m.op("UNPACK", (c,), (e, f), "UnpackOptions", num=2, axis=1)
    e = m.op("EXPAND_DIMS", (e, m.constant([0])), m.tensor((1, 1, 4, 2)), "ExpandDimsOptions")
    e = m.op("SQUEEZE", (e,), m.tensor((4, 2)), "SqueezeOptions", squeezeDims=[0, 1])
    e = m.op("GATHER", (e, m.constant([0, 3])), m.tensor((2, 2)), "GatherOptions")
    e = m.op("GATHER_ND", (e, m.constant([[1]])), m.tensor((1, 2)), "GatherNdOptions")
    to = m.op("BROADCAST_ARGS", (m.constant([3, 2]), m.constant([1, 2])), m.tensor((2,), "int32"))
    e = m.op("BROADCAST_TO", (e, m.constant([3, 2])), m.tensor((3, 2)), "BroadcastToOptions")
    filled = m.op("FILL", (m.constant([3, 4]), m.tensor((), data=1)), m.tensor((3, 4)), "FillOptions")
    words = m.tensor((2,), "int32")
    looked_up = m.op("EMBEDDING_LOOKUP", (words, m.tensor((6, 7), data=1)), m.tensor((2, 7)))
    return m.pack([image, words], [d, e, f, to, filled, looked_up])


def int4() -> bytes:
    """Weights of 4 bits, which the kernels unpack into a scratch buffer."""
    m = Model()
    image = m.tensor(MAP)
    x = m.conv(m.conv(image, 5), 5, kind="DEPTHWISE_CONV_2D")
    x = m.op("RESHAPE", (x,), m.tensor((1, 120)), "ReshapeOptions", newShape=[1, 120])
    x = m.dense(x, 120, 3)
    for operator in m.graph.operators:
        if len(operator.inputs) > 1:
            weights = m.graph.tensors[operator.inputs[1]]
            weights.type = schema.TensorType.INT4
            m.buffers[weights.buffer].data = np.zeros((int(np.prod(weights.shape)) + 1) // 2, np.uint8)
    return m.pack([image], [x])


def custom() -> bytes:
    """An operator that nobody knows, between two that everybody does."""
    m = Model()
    image = m.tensor(MAP)
    x = m.same("RELU", image)
    x = m.same("my_operator", x)
    return m.pack([image], [m.same("RELU", x)])


MODELS: tuple[Callable[[], bytes], ...] = (
    float_cnn,
    uint8_io,
    residual_concat,
    resize,
    strided_slice,
    offline_plan,
    svdf,
    lstm,
    int16,
    matmul,
    functions,
    arithmetic,
    shapes,
    int4,
    custom,
)

if __name__ == "__main__":
    for make in MODELS:
        Path(__file__).with_name(f"{make.__name__}.tflite").write_bytes(make())
