"""Safe distances: how many bytes before its input an operator's output may start, and run into the dead part of it.

An overlap is safe if no byte is written that is still to be read. That follows from the order in which a kernel reads
and writes, so each rule belongs to a kernel set, and whatever has no rule here gets no overlap. Distances are upper
bounds in bytes; at the size of the output nothing overlaps.

``reference``, TFLM's own kernels (``tensorflow/lite/micro/kernels/internal/reference/``), all of them raster loops:

- CONV_2D (``conv.h``), grouped too: a pixel is written channel by channel, and its window is read again for each. While
  pixel p is written, its window and those of all later pixels are needed.
- DEPTHWISE_CONV_2D with one output per channel (``depthwise_conv.h``), AVERAGE_POOL_2D, MAX_POOL_2D (``pooling.h``): a
  channel is read in its whole window before it is written, and no other channel needs it: one pixel less. With more
  outputs per channel: as a convolution.
- Functions of two operands of equal shape, and of one (``add.h``, ``activations_common.cc``): element i is read before
  element i is written: in place. An operand that is broadcast is read until the end: no overlap.
- PAD (``pad.h``): element i of the input is read before it is written further on.
- CONCATENATION (``concatenation.h``): blocks are copied by ``memcpy``, and must not meet themselves.
- RESHAPE (``reshape.cc``) does nothing where input and output are in one place; EXPAND_DIMS copies in ascending order.
- FULLY_CONNECTED and SOFTMAX read all of their input for each output, MEAN (``reduce_common.cc``) sets its output to
  zero before it reads: no overlap.

``cmsis-nn``, CMSIS-NN 4.0 and later inside TFLM: int8 on plain C, DSP extension and MVE at once. float32 runs on the
reference kernels, as does every operator that CMSIS-NN does not have; other types get no overlap.

- CONV_2D (``arm_convolve_s8``) copies the windows of two or four pixels before it writes those: as for reference,
  and less. But 1x1 convolutions multiply the map as a matrix, pairs of output channels outermost
  (``arm_nn_mat_mult_nt_t_s8``), maps of one row go in blocks of four pixels (``arm_convolve_1_x_n_s8``), groups one
  after the other: no overlap.
- DEPTHWISE_CONV_2D: by pixels, some channels at a time: as for reference. But MVE takes channels beyond 124 in blocks,
  each over the whole map (``arm_depthwise_conv_s8_opt``), and makes a convolution of one input channel: no overlap.
- AVERAGE_POOL_2D: as for reference. MAX_POOL_2D (``arm_max_pool_s8``) writes while it still compares: as a convolution.
- PAD (``arm_pad_s8``) copies rows by ``memcpy``, or pixels where channels are added; none may meet itself.

Convolutions and poolings were run: ``benchmarks/cmsis_nn_order.py`` does so with CMSIS-NN 4.0.0 on emulated cores.

``nas-c`` is our own C back end. Its kernels may write a whole pixel before they have read that pixel's window, whatever
slides; otherwise they have to keep the order of the reference ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from nas.model_file import FileOp, ModelFile, bytes_of, elements, operand, result, tensor_bytes
from nas.plan.frontier import Window, frontier
from nas.plan.placement import Count, Kernels

MVE_CHANNELS = 124  # CH_IN_BLOCK_MVE of arm_depthwise_conv_s8_opt.c
TYPES = ("int8", "int16", "float32")
POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
IN_PLACE = (
    *("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"),
    *("RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "QUANTIZE", "DEQUANTIZE"),
)
KEEPS_BYTES = "RESHAPE"  # does nothing where input and output are in one place; else it is a memcpy
SAME = 0  # schema.fbs: Padding


class Layer(NamedTuple):
    """A window operator with what decides its order; channels may be arrays, one entry per network."""

    kind: str
    window: Window
    channels_in: Count
    channels_out: Count
    plain: bool = True
    """A convolution without groups, a depthwise convolution with one output per channel."""
    width: int = 1
    """Bytes of an element, of input and output alike."""

    @property
    def out_bytes(self) -> Count:
        """Bytes of the output: the distance at which there is no overlap."""
        rows, columns = self.window.output
        return rows * columns * self.channels_out * self.width


Rule = Callable[[ModelFile, FileOp, Kernels], dict[int, int]]


def layer_distance(layer: Layer, kernels: Collection[Kernels]) -> Count:
    """Safe distance in bytes of a convolution, depthwise convolution or pooling on every one of some kernel sets."""
    no_overlap: Any = Kernels.CMSIS_NN in kernels and _breaks_order(layer)
    if no_overlap is True:
        return layer.out_bytes
    points = frontier(layer.window, whole_pixels=any(_writes_whole_pixels(layer, one) for one in kernels))
    c_in, c_out = layer.channels_in, layer.channels_out
    ahead = [layer.width * (written * c_out - needed * c_in) for written, needed in points]
    if isinstance(c_in, int) and isinstance(c_out, int):
        return min(max(ahead), layer.out_bytes)
    return np.where(no_overlap, layer.out_bytes, np.minimum(np.maximum.reduce(ahead), layer.out_bytes))


def _writes_whole_pixels(layer: Layer, kernels: Kernels) -> bool:
    """Whether a whole output pixel may be written while its own window is still being read."""
    if layer.kind == "MAX_POOL_2D":
        return kernels is not Kernels.REFERENCE
    return kernels is Kernels.NAS_C or layer.kind == "CONV_2D" or not layer.plain


def _breaks_order(layer: Layer) -> Any:
    """Whether CMSIS-NN does not go pixel by pixel, on one core at least."""
    window = layer.window
    if layer.kind == "CONV_2D":
        one_row = window.input[0] == 1 and window.kernel[0] == 1
        return one_row or window.kernel == (1, 1) or not layer.plain
    if layer.kind == "DEPTHWISE_CONV_2D":
        return (layer.channels_in == 1) | (layer.plain & (layer.channels_in > MVE_CHANNELS))
    return False


def padding_distance(bytes_in: Count, bytes_out: Count, run_bytes: Count, kernels: Collection[Kernels]) -> Count:
    """Safe distance of a padding whose input CMSIS-NN copies in runs of ``run_bytes``.

    How much of the padding comes first is not looked at: the worst is all of it.
    """
    return bytes_out - bytes_in + (Kernels.CMSIS_NN in kernels) * run_bytes


def safe_distances(model: ModelFile, op: FileOp, kernels: Collection[Kernels]) -> dict[int, int]:
    """Input tensor -> safe distance in bytes on every one of some kernel sets; inputs that are left out: no overlap."""
    if op.custom or op.kind not in _RULES or len(op.outputs) != 1:
        return {}
    found = [_RULES[op.kind](model, op, one) for one in kernels]
    return {tensor: max(one[tensor] for one in found) for tensor in set.intersection(*map(set, found))}


def _window(model: ModelFile, op: FileOp, kernels: Kernels) -> dict[int, int]:
    """Convolutions and poolings of one batch."""
    x, y = operand(model, op, 0), result(model, op)
    if len(x.shape) != 4 or len(y.shape) != 4 or x.shape[0] != 1 or x.dtype != y.dtype or x.dtype not in TYPES:
        return {}
    if y.variable or not elements(y) or not elements(x):  # not in the plan, however long its sides are
        return {}
    if kernels is Kernels.CMSIS_NN and x.dtype == "float32":
        kernels = Kernels.REFERENCE
    weights = [operand(model, op, 1).dtype for _ in op.inputs[1:2]]
    if kernels is Kernels.CMSIS_NN and (x.dtype != "int8" or "int4" in weights):
        return {}
    layer = _layer(model, op)
    return {op.inputs[0]: layer_distance(layer, (kernels,))} if min(layer.window.stride) > 0 else {}


def _layer(model: ModelFile, op: FileOp) -> Layer:
    """With the padding SAME where none is given."""
    options, y = op.options, result(model, op)
    _, *size_in, channels_in = operand(model, op, 0).shape
    _, *size_out, channels_out = y.shape
    weights = () if op.kind in POOLS else operand(model, op, 1).shape
    window = Window(
        input=(size_in[0], size_in[1]),
        output=(size_out[0], size_out[1]),
        kernel=(weights[1], weights[2]) if weights else (options["filterHeight"], options["filterWidth"]),
        stride=(options["strideH"], options["strideW"]),
        dilation=(options.get("dilationHFactor") or 1, options.get("dilationWFactor") or 1),
        padded=options.get("padding", SAME) == SAME,
    )
    plain = op.kind in POOLS or (weights[3] if op.kind == "CONV_2D" else channels_out) == channels_in
    return Layer(op.kind, window, channels_in, channels_out, plain, bytes_of(y))


def _elementwise(model: ModelFile, op: FileOp, kernels: Kernels) -> dict[int, int]:
    """In place on every operand that is not broadcast; where elements grow, the output must not run ahead."""
    y = result(model, op)
    operands = {tensor: model.tensors[tensor] for tensor in op.inputs if tensor >= 0}
    types = {tensor.dtype for tensor in (y, *operands.values())}
    if not types <= {*TYPES, "uint8", "int32"} or (kernels is Kernels.CMSIS_NN and "int16" in types):
        return {}
    growth = {tensor: max(bytes_of(y) - bytes_of(x), 0) for tensor, x in operands.items() if x.shape == y.shape}
    return {tensor: more * elements(y) for tensor, more in growth.items()}


def _copy(model: ModelFile, op: FileOp, kernels: Kernels) -> dict[int, int]:
    """In place; shapes differ, bytes do not."""
    return {op.inputs[0]: 0}


def _pad(model: ModelFile, op: FileOp, kernels: Kernels) -> dict[int, int]:
    x, y = operand(model, op, 0), result(model, op)
    if len(x.shape) != len(y.shape) or x.dtype != y.dtype or x.dtype not in TYPES:
        return {}
    own = (kernels,) if x.dtype == "int8" else ()
    if own and kernels is Kernels.CMSIS_NN and not 0 < len(x.shape) <= 4:
        return {}
    run_bytes = math.prod(x.shape[-2 if x.shape[-1:] == y.shape[-1:] else -1 :])
    return {op.inputs[0]: padding_distance(tensor_bytes(x), tensor_bytes(y), run_bytes, own)}


def _concatenation(model: ModelFile, op: FileOp, kernels: Kernels) -> dict[int, int]:
    """One block of each operand after the other, as often as the axes before the joined one ask for."""
    y = result(model, op)
    if min(op.inputs) < 0 or y.dtype not in TYPES or not y.shape or not elements(y):  # of nothing, or without an axis
        return {}
    axis = op.options["axis"] % len(y.shape)
    repeats = math.prod(y.shape[:axis])
    whole, end = tensor_bytes(y) // repeats, 0
    found: dict[int, int] = {}
    for tensor in op.inputs:
        block = tensor_bytes(model.tensors[tensor]) // repeats
        end += block
        found[tensor] = max((repeats - 1) * (whole - block) + end, found.get(tensor, 0))
    return found


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", *POOLS), _window),
    **dict.fromkeys(IN_PLACE, _elementwise),
    "EXPAND_DIMS": _copy,
    "PAD": _pad,
    "CONCATENATION": _concatenation,
}
