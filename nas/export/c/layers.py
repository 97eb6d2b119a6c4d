"""The operators of an INT8 ``.tflite`` file as calls of the C kernels, with every constant that they take.

Arithmetic of TensorFlow Lite's reference kernels; sources are named where a formula is not plain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from nas.errors import InputError
from nas.export.c.source import Array, Fields, Layer, Source, Table, TensorGrid
from nas.fixed_point import MANTISSA_BITS, quantized_multipliers, rescaled
from nas.fixed_point_softmax import softmax_scale
from nas.model_file import FileOp, ModelFile, elements, operand, result
from nas.models.int8 import ADD_SHIFT, QMAX, QMIN

WORD = 4  # weights of a row are filled to a multiple of it: kernels load four at once
SCRATCH_BYTES = 5  # of a convolution, for each weight of a row: see nas_conv.c
SUM_LIMIT = 1 << 30  # nas_high_product doubles a sum within 32 bits
SAME = 0  # schema.fbs: Padding
RELU, RELU_N1_TO_1, RELU6 = 1, 2, 3  # schema.fbs: ActivationFunctionType
SAME_GRID = {"multiplier": 1 << (MANTISSA_BITS - 1), "shift": -1}  # times 1
MAX_SIZE = (1 << 16) - 1  # of a map, in each direction: uint16_t in nas_kernels.h
MAX_CLASSES = (1 << 12) - 1  # of a softmax: the sum of its exponentials has 12 integer bits
MAX_TAPS = (1 << 8) - 1  # of kernels, strides, dilations, paddings: uint8_t


def make_layer(source: Source, op: FileOp) -> Layer:
    """The call for one operator.

    Raises:
        InputError: there is no kernel for it, or not for its types, sizes or options.
    """
    if op.custom or op.kind not in LAYERS:
        raise InputError(f"the C back end has no kernel for {op.kind}; it has {', '.join(LAYERS)}")
    try:
        for tensor in (operand(source.model, op, 0), result(source.model, op)):
            if tensor.dtype != "int8":
                raise InputError(f"{op.kind} on {tensor.dtype}: the C back end runs INT8 only")
        return LAYERS[op.kind](source, op)
    except (IndexError, KeyError, ValueError, ZeroDivisionError) as error:  # too few operands, dimensions or options
        raise InputError(f"damaged model: {op.kind}: {error}") from error


def _convolution(source: Source, op: FileOp) -> Layer:
    weights = operand(source.model, op, 1)
    out_channels, *taps = weights.shape
    if taps[-1] != operand(source.model, op, 0).shape[-1]:
        raise InputError("the C back end has no grouped convolutions")
    values = source.values(op.inputs[1], "int8", (out_channels, math.prod(taps)))
    x = source.grid(op.inputs[0])
    rows = _filled(values)
    return Layer(
        "conv",
        op,
        op.inputs[:1],
        {
            "window": _window(source.model, op, (taps[0], taps[1])),
            "in_zero_point": x.zero_point,
            "weights": Table("int8_t", rows),
            "out": _requantize(source, op, values, x.zero_point * values.sum(axis=1)),
        },
        scratch_bytes=SCRATCH_BYTES * rows.shape[1],
    )


def _depthwise(source: Source, op: FileOp) -> Layer:
    _, height, width, channels = operand(source.model, op, 1).shape
    if channels != operand(source.model, op, 0).shape[-1]:
        raise InputError("the C back end has depthwise convolutions with one output per channel only")
    values = source.values(op.inputs[1], "int8", (height * width, channels))
    return Layer(
        "depthwise",
        op,
        op.inputs[:1],
        {
            "window": _window(source.model, op, (height, width)),
            "in_zero_point": source.grid(op.inputs[0]).zero_point,
            "weights": Table("int8_t", values),
            "out": _requantize(source, op, values.T, 0),
        },
    )


def _fully_connected(source: Source, op: FileOp) -> Layer:
    outputs, inputs = operand(source.model, op, 1).shape
    if elements(operand(source.model, op, 0)) != inputs:
        raise InputError(f"FULLY_CONNECTED over {inputs} values of {elements(operand(source.model, op, 0))}")
    if zero_point := source.grid(op.inputs[1]).zero_point:  # TFLM takes it off every weight; converters write 0
        raise InputError(f"FULLY_CONNECTED with weights of zero point {zero_point}: the C back end has 0 only")
    values = source.values(op.inputs[1], "int8", (outputs, inputs))
    x = source.grid(op.inputs[0])
    return Layer(
        "fully_connected",
        op,
        op.inputs[:1],
        {
            "inputs": _sized(inputs, MAX_SIZE),
            "outputs": _sized(outputs, MAX_SIZE),
            "weights": Table("int8_t", _filled(values)),
            "out": _requantize(source, op, values, x.zero_point * values.sum(axis=1)),
        },
    )


def _add(source: Source, op: FileOp) -> Layer:
    _require_activations(source, op)
    a, b = (source.model.tensors[tensor] for tensor in op.inputs)
    if a.shape != b.shape:
        raise InputError(f"ADD of {a.shape} and {b.shape}: the C back end adds equal shapes only")
    grids, out = [source.grid(tensor) for tensor in op.inputs], source.grid(op.outputs[0])
    common = 2 * max(grid.scale for grid in grids)  # kernels/add.cc: twice_max_input_scale
    factors = [*(grid.scale / common for grid in grids), common / ((1 << ADD_SHIFT) * out.scale)]
    mantissas, exponents = quantized_multipliers(np.array(factors))
    low, high = _limits(source, op)
    operands = {
        name: {"multiplier": int(mantissa), "shift": -int(exponent), "zero_point": grid.zero_point}
        for name, mantissa, exponent, grid in zip("ab", mantissas, exponents, grids, strict=False)
    }
    operands["out"] = {"multiplier": int(mantissas[2]), "shift": -int(exponents[2]), "zero_point": out.zero_point}
    fields: Fields = {"count": elements(a), **operands, "low": low, "high": high}
    return Layer("add", op, op.inputs, fields)


def _multiply(source: Source, op: FileOp) -> Layer:
    """kernels/mul.cc; the smaller operand is repeated along the leading axes, as a gate of channels is."""
    _require_activations(source, op)
    first, second = sorted(op.inputs, key=lambda tensor: -elements(source.model.tensors[tensor]))
    a, b = (source.model.tensors[tensor] for tensor in (first, second))
    repeated = next((axes for axes, size in enumerate(b.shape) if size != 1), len(b.shape))
    kept = b.shape[repeated:]
    if a.shape != result(source.model, op).shape or kept != a.shape[len(a.shape) - len(kept) :]:
        raise InputError(f"MUL of {a.shape} and {b.shape}: the C back end repeats leading axes only")
    grids = [source.grid(tensor) for tensor in (first, second)]
    low, high = _limits(source, op)
    fields: Fields = {
        "count": elements(a),
        "period": elements(b),
        "a_zero_point": grids[0].zero_point,
        "b_zero_point": grids[1].zero_point,
        "out": _operand(source, op, grids[0].scale * grids[1].scale, (QMAX - QMIN) ** 2),
        "low": low,
        "high": high,
    }
    return Layer("multiply", op, (first, second), fields)


def _rectify(ends: tuple[float, float | None], rescales: bool) -> Callable[[Source, FileOp], Layer]:
    """activations.cc: RELU goes from grid to grid, RELU6 compares on the grid of its input."""

    def layer(source: Source, op: FileOp) -> Layer:
        _require_activations(source, op)
        x, y = source.grid(op.inputs[0]), source.grid(op.outputs[0])
        limits = y if rescales else x
        out = _operand(source, op, x.scale, QMAX - QMIN) if rescales else {**SAME_GRID, "zero_point": x.zero_point}
        fields: Fields = {
            "count": elements(operand(source.model, op, 0)),
            "in_zero_point": x.zero_point,
            "out": out,
            "low": _bound(limits, ends[0], QMIN, max),
            "high": _bound(limits, ends[1], QMAX, min),
        }
        return Layer("rescale", op, op.inputs, fields)

    return layer


def _mean(source: Source, op: FileOp) -> Layer:
    """QuantizedMeanOrSum of reference/reduce.h: the number of values is a part of the multiplier."""
    x = operand(source.model, op, 0)
    axes = sorted({int(axis) % len(x.shape) for axis in source.values(op.inputs[1], "<i4", (-1,))})
    if not axes or axes != list(range(axes[0], axes[-1] + 1)):
        raise InputError(f"MEAN over the axes {axes}: the C back end has neighbouring axes only")
    count = math.prod(x.shape[axes[0] : axes[-1] + 1])
    grid, y = source.grid(op.inputs[0]), source.grid(op.outputs[0])
    mantissa, exponent = (int(part) for part in quantized_multipliers(grid.scale / y.scale))
    moved = min(count.bit_length() - 1, MANTISSA_BITS + exponent)
    _require_small(op, count * (QMAX - QMIN), exponent - moved)
    fields: Fields = {
        "outer": math.prod(x.shape[: axes[0]]),
        "reduced": count,
        "inner": math.prod(x.shape[axes[-1] + 1 :]),
        "bias": -grid.zero_point * count,
        "out": {"multiplier": (mantissa << moved) // count, "shift": moved - exponent, "zero_point": y.zero_point},
    }
    return Layer("mean", op, op.inputs[:1], fields)


def _concatenate(source: Source, op: FileOp) -> Layer:
    """As TFLM's, it copies: the converter gives all inputs and the output one grid."""
    _require_activations(source, op)
    shape = result(source.model, op).shape
    repeats = math.prod(shape[: op.options["axis"] % len(shape)])
    blocks = np.array([elements(source.model.tensors[tensor]) // repeats for tensor in op.inputs])
    fields: Fields = {"repeats": repeats, "count": len(blocks), "blocks": Table("int32_t", blocks)}
    return Layer("concatenate", op, op.inputs, fields)


def _pool(kernel: str) -> Callable[[Source, FileOp], Layer]:
    def layer(source: Source, op: FileOp) -> Layer:
        low, high = _limits(source, op)
        taps = (op.options["filterHeight"], op.options["filterWidth"])
        fields: Fields = {"window": _window(source.model, op, taps), "low": low, "high": high}
        return Layer(kernel, op, op.inputs, fields)

    return layer


def _pad(source: Source, op: FileOp) -> Layer:
    x, y = operand(source.model, op, 0), result(source.model, op)
    before = source.values(op.inputs[1], "<i4", (len(x.shape), 2))[:, 0].tolist()
    if len(x.shape) != 4 or before[0] or x.shape[0] != y.shape[0]:
        raise InputError("the C back end has PAD of height, width and channels only")
    names = ("in_height", "in_width", "in_channels", "top", "left", "front", "out_height", "out_width", "out_channels")
    sizes = [_sized(size, MAX_SIZE) for size in (*x.shape[1:], *before[1:], *y.shape[1:])]
    fields: Fields = dict(zip(names, sizes, strict=True)) | {"zero_point": source.grid(op.outputs[0]).zero_point}
    return Layer("pad", op, op.inputs[:1], fields)


def _copy(source: Source, op: FileOp) -> Layer:
    fields: Fields = {"count": elements(result(source.model, op))}
    return Layer("copy", op, op.inputs[:1], fields)


def _softmax(source: Source, op: FileOp) -> Layer:
    """See ``nas.fixed_point_softmax``."""
    x, beta = operand(source.model, op, 0), float(op.options.get("beta", 1.0))
    classes = x.shape[-1]
    if not beta > 0:
        raise InputError(f"SOFTMAX with a beta of {beta}, expected a positive number")
    fields: Fields = {
        "rows": _sized(elements(x) // classes, MAX_SIZE),
        "classes": _sized(classes, MAX_CLASSES),
        **softmax_scale(source.grid(op.inputs[0]).scale, beta)._asdict(),
    }
    return Layer("softmax", op, op.inputs, fields)


def _operand(source: Source, op: FileOp, scale: float, largest: int) -> Fields:
    """Member ``out``: from a grid of that scale, with zero at 0 and values up to ``largest``, to that of the output."""
    y = source.grid(op.outputs[0])
    mantissa, exponent = (int(part) for part in quantized_multipliers(scale / y.scale))
    _require_small(op, largest, exponent)
    return {"multiplier": mantissa, "shift": -exponent, "zero_point": y.zero_point}


def _require_small(op: FileOp, largest: int, exponent: int) -> None:
    """``nas_high_product`` takes no more."""
    if largest << max(exponent, 0) >= SUM_LIMIT:
        raise InputError(f"{op.kind}: values of up to {largest:,} are too many for the C kernels on this grid")


def _require_activations(source: Source, op: FileOp) -> None:
    if any(tensor < 0 or source.data[tensor] for tensor in op.inputs):
        raise InputError(f"{op.kind} of a constant: the C back end has that of activations only")


def _requantize(source: Source, op: FileOp, rows: Array, folded: Array | int) -> Fields:
    """Member ``out``: ``rows`` (channels, weights) are the products of each sum, ``folded`` is taken off its bias."""
    x, y = source.grid(op.inputs[0]), source.grid(op.outputs[0])
    biases = np.zeros(len(rows), np.int64)
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        biases = source.values(op.inputs[2], "<i4", (len(rows),))
    mantissas, exponents = quantized_multipliers(_factors(source, op))
    mantissas, exponents = (np.broadcast_to(part, len(rows)) for part in (mantissas, exponents))
    biases, mantissas, exponents = _constant_channels(rows, biases, mantissas, exponents)
    reach = max(x.zero_point - QMIN, QMAX - x.zero_point)
    largest = (np.abs(rows).sum(axis=1) * reach + np.abs(biases)) << np.maximum(exponents, 0)
    if largest.max() >= SUM_LIMIT:
        raise InputError(f"{op.kind}: sums of up to {largest.max():,} are beyond the {SUM_LIMIT:,} of the C kernels")
    low, high = _limits(source, op)
    return {
        "bias": Table("int32_t", biases - folded),
        "multiplier": Table("int32_t", mantissas),
        "shift": Table("int8_t", -exponents),
        "zero_point": y.zero_point,
        "low": low,
        "high": high,
    }


def _constant_channels(rows: Array, biases: Array, mantissas: Array, exponents: Array) -> tuple[Array, Array, Array]:
    """Channels without weights have one value v, often of a huge bias on a tiny grid: 2 v times 1/2 is the same."""
    values = np.clip(rescaled(biases, mantissas, exponents), -QMAX + QMIN, QMAX - QMIN)
    constant = ~rows.any(axis=1)
    half = 1 << (MANTISSA_BITS - 1)
    return np.where(constant, 2 * values, biases), np.where(constant, half, mantissas), np.where(constant, 0, exponents)


def _factors(source: Source, op: FileOp) -> Array:
    """From the grid of the sums to that of the output, per channel or one; float64 from float32 scales.

    Per tensor, the product of scales is rounded to float32 (GetQuantizedConvolutionMultipler in kernel_util.cc).
    """
    x, w, y = (source.grid(tensor) for tensor in (*op.inputs[:2], op.outputs[0]))
    if len(w.scales) == 1 and op.kind == "FULLY_CONNECTED":
        return np.array([float(np.float32(x.scales[0]) * np.float32(w.scales[0])) / y.scale])
    return x.scale * w.scales.astype(np.float64) / y.scale


def _limits(source: Source, op: FileOp) -> tuple[int, int]:
    """Bounds of the fused activation on the grid of the output: CalculateActivationRangeQuantized."""
    y = source.grid(op.outputs[0])
    ends = {RELU: (0.0, None), RELU6: (0.0, 6.0), RELU_N1_TO_1: (-1.0, 1.0)}
    activation = op.options.get("fusedActivationFunction") or 0
    if activation and activation not in ends:
        raise InputError(f"{op.kind}: the C back end has no fused activation {activation}")
    low, high = ends.get(activation, (None, None))
    return _bound(y, low, QMIN, max), _bound(y, high, QMAX, min)


def _bound(grid: TensorGrid, end: float | None, limit: int, choose: Callable[[int, int], int]) -> int:
    if end is None:
        return limit
    steps = np.float32(end) / grid.scales[0]
    return choose(limit, grid.zero_point + int(np.copysign(np.floor(abs(steps) + np.float32(0.5)), steps)))


def _window(model: ModelFile, op: FileOp, taps: tuple[int, int]) -> Fields:
    """Member ``window``; padding as ComputePaddingHeightWidth of kernels/padding.h has it."""
    (_, *size_in, channels_in), (_, *size_out, channels_out) = operand(model, op, 0).shape, result(model, op).shape
    strides = (op.options["strideH"], op.options["strideW"])
    dilations = (op.options.get("dilationHFactor") or 1, op.options.get("dilationWFactor") or 1)
    pads = [
        max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - size) // 2
        if op.options.get("padding", SAME) == SAME
        else 0
        for out, stride, kernel, dilation, size in zip(size_out, strides, taps, dilations, size_in, strict=True)
    ]
    sizes = [*size_in, channels_in, *size_out, channels_out]
    small = [*taps, *strides, *dilations, *pads]
    return dict(
        zip(WINDOW, [*(_sized(n, MAX_SIZE) for n in sizes), *(_sized(n, MAX_TAPS) for n in small)], strict=True)
    )


WINDOW = (
    *("in_height", "in_width", "in_channels", "out_height", "out_width", "out_channels"),
    *("kernel_height", "kernel_width", "stride_y", "stride_x", "dilation_y", "dilation_x", "pad_top", "pad_left"),
)


def _filled(rows: Array) -> Array:
    """Rows of weights with zeros behind them, to a multiple of a word."""
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % WORD)))


def _sized(value: int, limit: int) -> int:
    if value > limit:
        raise InputError(f"a size of {value:,} is beyond the {limit:,} of the C kernels")
    return value


LAYERS: Mapping[str, Callable[[Source, FileOp], Layer]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "ADD": _add,
    "MUL": _multiply,
    "RELU": _rectify((0.0, None), rescales=True),
    "RELU6": _rectify((0.0, 6.0), rescales=False),
    "MEAN": _mean,
    "CONCATENATION": _concatenate,
    "AVERAGE_POOL_2D": _pool("average_pool"),
    "MAX_POOL_2D": _pool("max_pool"),
    "PAD": _pad,
    "RESHAPE": _copy,
    "SOFTMAX": _softmax,
}
