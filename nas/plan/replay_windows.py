"""In which order kernels that slide a window over a map read and write, as found in their source.

TFLM's reference kernels: ``internal/reference/integer_ops/{conv,depthwise_conv,pooling}.h`` and
``internal/reference/{conv,depthwiseconv_float,pooling}.h``; TFLM's glue to CMSIS-NN, ``kernels/cmsis_nn``, calls them
for float32. CMSIS-NN: the files named below, of 4.0.0 and up to 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nas.model_file import BITS, FileOp, ModelFile
from nas.plan.placement import Kernels
from nas.plan.replay_loops import Geometry, Walk

WINDOWS = ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D")
SCALAR, DSP, MVE = (f"{Kernels.CMSIS_NN}, {path}" for path in ("scalar", "DSP", "MVE"))
SAME = 0  # schema.fbs: enum Padding
TYPES = ("int8", "int16", "float32")
CHANNEL_BLOCK = 124  # CH_IN_BLOCK_MVE in arm_nnsupportfunctions.h


@dataclass(frozen=True, slots=True)
class Windows:
    """Reads the first input through windows."""

    geometry: Geometry
    walk: Walk


@dataclass(frozen=True, slots=True)
class MaxPoolInPlace:
    """Collects the maximum in the output."""

    geometry: Geometry
    chunk: int


Order = Windows | MaxPoolInPlace


def window_orders(model: ModelFile, op: FileOp, kernels: Kernels) -> Iterator[tuple[str, Order]]:
    """Orders of a convolution, a depthwise convolution or a pooling; none if type or shapes are not known here."""
    geometry = _geometry(model, op)
    if geometry is None:
        return
    source, weights = model.tensors[op.inputs[0]], [model.tensors[tensor].dtype for tensor in op.inputs[1:2]]
    if kernels == Kernels.NAS_C:
        yield kernels, Windows(geometry, _walk(geometry, chunk=geometry.out_c, writes_first=True))
    elif kernels == Kernels.REFERENCE or source.dtype == "float32":
        # integer_ops/{conv,depthwise_conv,pooling}.h, {conv,depthwiseconv_float,pooling}.h: channel by channel
        yield kernels, Windows(geometry, _walk(geometry, chunk=1))
    elif source.dtype == "int8" and "int4" not in weights:
        yield from _CMSIS_WINDOWS[op.kind](geometry)


def _geometry(model: ModelFile, op: FileOp) -> Geometry | None:
    """``None``: a type or shapes of which no order is known here."""
    source, result = model.tensors[op.inputs[0]], model.tensors[op.outputs[0]]
    if len(source.shape) != 4 or len(result.shape) != 4 or source.shape[0] != result.shape[0]:
        return None
    if source.dtype != result.dtype or source.dtype not in TYPES:
        return None
    size, depth = _filter(model, op)
    in_c, strides = source.shape[3], [int(op.options.get(name, 0)) for name in ("strideH", "strideW")]
    if min(in_c, depth, *size, *strides) < 1 or in_c % depth or result.shape[3] % (in_c // depth):
        return None
    dilations = [int(op.options.get(name, 1)) or 1 for name in ("dilationHFactor", "dilationWFactor")]
    before = [0, 0]
    if op.options.get("padding", SAME) == SAME:
        both = zip(result.shape[1:3], source.shape[1:3], size, strides, dilations, strict=True)
        before = [max((out - 1) * by + (k - 1) * far + 1 - n, 0) // 2 for out, n, k, by, far in both]
    return Geometry._make(
        [*source.shape, *result.shape[1:], *size, *strides, *dilations, *before, in_c // depth, BITS[source.dtype] // 8]
    )


def values_read(g: Geometry) -> int:
    """By all windows, of which what lies beside the map is not read; at most, as channels may be read together."""
    window = min(g.filter_h, g.in_h) * min(g.filter_w, g.in_w) * (g.in_c // g.groups)
    return g.batches * g.out_h * g.out_w * g.out_c * window


def _filter(model: ModelFile, op: FileOp) -> tuple[tuple[int, int], int]:
    """Rows and columns of the window, and how many input channels a group has (0: not known)."""
    if "POOL" in op.kind:
        return (int(op.options.get("filterHeight", 0)), int(op.options.get("filterWidth", 0))), 1
    shape = model.tensors[op.inputs[1]].shape if len(op.inputs) > 1 and op.inputs[1] >= 0 else ()
    if len(shape) != 4:
        return (0, 0), 0
    return (shape[1], shape[2]), shape[3] if op.kind == "CONV_2D" else 1


def _walk(g: Geometry, chunk: int, **other: Any) -> Walk:
    """Pixel by pixel, unless said otherwise."""
    usual: dict[str, Any] = {
        "span": g.batches * g.out_h * g.out_w, "slab": g.out_c, "block": 1, "last_chunk": g.out_c, "rest_block": 1,
        "rest_chunk": chunk, "short_block": other.get("block", 1), "edges_as_rest": False, "writes_first": False,
    }  # fmt: skip
    return Walk(**{**usual, "chunk": chunk, **other})


def _columns(g: Geometry, block: int, slab: int, span: int) -> Windows:
    """The windows of some pixels are copied to a buffer, then all channels of these pixels are written."""
    return Windows(g, _walk(g, chunk=slab, slab=slab, span=span, block=block, rest_block=block))


def _fours(g: Geometry, span: int, edges_as_rest: bool = False) -> Windows:
    """``arm_nn_mat_mult_nt_t_s8.c`` with MVE: four pixels, channel by channel; the rest singly, by four channels."""
    return Windows(g, _walk(g, chunk=1, block=4, rest_chunk=4, span=span, edges_as_rest=edges_as_rest))


def _cmsis_conv(g: Geometry) -> Iterator[tuple[str, Order]]:
    """``arm_convolve_wrapper_s8.c`` and what it calls. Groups, which 4.0.0 lacks, are the outer loop later."""
    image, slab = g.out_h * g.out_w, g.out_c // g.groups
    is_plain = g.dilation_h == g.dilation_w == g.groups == 1
    if is_plain and g.filter_h == g.filter_w == 1 and g.pad_h == g.pad_w == 0:
        # arm_convolve_1x1_s8_fast.c: all pixels in one call; arm_convolve_1x1_s8.c: a call for each row
        span = g.batches * image if g.stride_h == g.stride_w == 1 else g.out_w
        for path in (SCALAR, DSP):
            # arm_nn_mat_mult_nt_t_s8.c: pairs of channels, inside them pairs of pixels; an odd channel pixel by pixel
            two = min(2, g.out_c)
            yield path, Windows(g, _walk(g, chunk=two, slab=two, block=two, short_block=1, span=span))
        yield MVE, _fours(g, span)
        return
    for path in (SCALAR, DSP):
        yield path, _columns(g, 2, slab, image)  # arm_convolve_s8.c
    if g.in_h == g.filter_h == g.dilation_w == g.groups == 1 and g.out_w % 4 == 0:
        yield MVE, _fours(g, g.out_w, edges_as_rest=True)  # arm_convolve_1_x_n_s8.c
    else:
        yield MVE, _columns(g, 4, slab, image)


def _cmsis_depthwise(g: Geometry) -> Iterator[tuple[str, Order]]:
    """``arm_depthwise_conv_wrapper_s8.c`` and what it calls."""
    multiplier, is_plain = g.out_c // g.in_c, g.batches == g.dilation_h == g.dilation_w == 1
    generic = Windows(g, _walk(g, chunk=4 if multiplier % 4 == 0 and is_plain else 1))  # arm_depthwise_conv_s8.c
    if g.in_c == 1:
        # from 2024 on MVE computes it as a convolution
        yield from ((path, order) for path, order in _cmsis_conv(g) if path == MVE)
    if multiplier > 1 or not is_plain:
        yield from ((path, generic) for path in (SCALAR, DSP, MVE))
        return
    if g.filter_h == g.filter_w == 3 and max(g.pad_h, g.pad_w) <= 1:
        # arm_depthwise_conv_3x3_s8.c: by four channels, the rest singly
        yield from ((path, Windows(g, _walk(g, chunk=4, last_chunk=1))) for path in (SCALAR, DSP))
    else:
        yield SCALAR, generic
        yield DSP, _columns(g, 1, g.out_c, g.out_h * g.out_w)  # arm_depthwise_conv_s8_opt.c
    yield MVE, _columns(g, 4, min(CHANNEL_BLOCK, g.out_c), g.out_h * g.out_w)  # likewise: channel blocks are outside


def _cmsis_average(g: Geometry) -> Iterator[tuple[str, Order]]:
    """``arm_avgpool_s8.c``: value by value; by pixel, in a buffer; by 16 channels."""
    for path, chunk in ((SCALAR, 1), (DSP, g.out_c), (MVE, 16)):
        yield path, Windows(g, _walk(g, chunk=chunk))


def _cmsis_max(g: Geometry) -> Iterator[tuple[str, Order]]:
    """``arm_max_pool_s8.c``: four bytes at a time and the rest singly, or 16."""
    four = 4 if g.out_c % 4 == 0 else 1
    for path, chunk in ((SCALAR, four), (DSP, four), (MVE, 16)):
        yield path, MaxPoolInPlace(g, chunk)


_CMSIS_WINDOWS = {
    "CONV_2D": _cmsis_conv,
    "DEPTHWISE_CONV_2D": _cmsis_depthwise,
    "AVERAGE_POOL_2D": _cmsis_average,
    "MAX_POOL_2D": _cmsis_max,
}
