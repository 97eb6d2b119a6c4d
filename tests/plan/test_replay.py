"""The replay of a memory plan agrees with kernels that are written down event by event, and catches unsafe plans."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import InputError
from nas.model_file import FileOp, FileTensor, ModelFile, tensor_bytes
from nas.plan.placement import MOST_ARENA_BYTES, Kernels, Placement
from nas.plan.replay import Violation, verify

ALL = tuple(Kernels)
Events = Iterator[tuple[str, int]]  # ("read", byte of the input) or ("write", byte of the output)


def model(
    *tensors: FileTensor, ops: list[FileOp], inputs: tuple[int, ...] = (0,), outputs: tuple[int, ...]
) -> ModelFile:
    return ModelFile(tensors, tuple(ops), inputs, outputs, 0)


def tensor(*shape: int, dtype: str = "int8", data: int = 0) -> FileTensor:
    return FileTensor(f"t{'x'.join(map(str, shape))}", shape, dtype, data)


def plan(file: ModelFile, *offsets: int) -> list[Placement]:
    """Offsets of the activations in the order of the tensors."""
    activations = [index for index, entry in enumerate(file.tensors) if not entry.data_bytes]
    return [
        Placement(index, file.tensors[index].name, offset, tensor_bytes(file.tensors[index]), 0, len(file.ops))
        for index, offset in zip(activations, offsets, strict=True)
    ]


def scratch(offset: int, size: int, op: int) -> Placement:
    return Placement(-1, "scratch", offset, size, op, op)


def check(file: ModelFile, *offsets: int, kernels: Kernels = Kernels.REFERENCE) -> Violation | None:
    return verify(file, plan(file, *offsets), kernels)


def unary(kind: str, source: FileTensor, result: FileTensor, *constants: FileTensor, **options: Any) -> ModelFile:
    """One operator with constants behind its input."""
    op = FileOp(kind, (0, *range(2, 2 + len(constants))), (1,), options)
    return model(source, result, *constants, ops=[op], outputs=(1,))


def conv(
    height: int,
    width: int,
    depth: int,
    channels: int,
    kernel: tuple[int, int] = (3, 3),
    stride: int = 1,
    **options: Any,
) -> ModelFile:
    """A convolution with SAME padding, or VALID if asked."""
    size = [_out_size(n, k, stride, options) for n, k in zip((height, width), kernel, strict=True)]
    weights = tensor(channels, *kernel, options.pop("group_depth", depth), data=1)
    strides = {"strideH": stride, "strideW": stride}
    source, result = tensor(1, height, width, depth), tensor(1, *size, channels)
    return unary("CONV_2D", source, result, weights, **strides, **options)


def pool(kind: str, height: int, width: int, channels: int, kernel: int, stride: int) -> ModelFile:
    size = [(n - kernel) // stride + 1 for n in (height, width)]
    options = {"padding": 1, "strideH": stride, "strideW": stride, "filterHeight": kernel, "filterWidth": kernel}
    return unary(kind, tensor(1, height, width, channels), tensor(1, *size, channels), **options)


def depthwise(height: int, width: int, channels: int, kernel: int, multiplier: int = 1) -> ModelFile:
    weights = tensor(1, kernel, kernel, channels * multiplier, data=1)
    result = tensor(1, height, width, channels * multiplier)
    options = {"strideH": 1, "strideW": 1, "depthMultiplier": multiplier}
    return unary("DEPTHWISE_CONV_2D", tensor(1, height, width, channels), result, weights, **options)


def _out_size(size: int, kernel: int, stride: int, options: dict[str, Any]) -> int:
    far = (kernel - 1) * (options.get("dilationHFactor", 1) or 1) + 1
    return (size - far) // stride + 1 if options.get("padding") == 1 else math.ceil(size / stride)


def tight_distance(file: ModelFile, kernels: Kernels) -> int:
    """How far the output must begin before the input, at least; from there on all is safe."""
    source, result = (tensor_bytes(file.tensors[index]) for index in (0, 1))
    far = source + result
    safe = [verify(file, plan(file, far, far - by), kernels) is None for by in range(result + 1)]
    assert safe == sorted(safe)
    return safe.index(True)


def is_safe(events: Events, distance: int) -> bool:
    """Whether no byte is read after it was written over: the output begins ``distance`` bytes before the input."""
    written = set()
    for event, byte in events:
        if event == "write":
            written.add(byte - distance)
        elif byte in written:
            return False
    return True


def window(file: ModelFile, pixel: int, channels: range) -> Events:
    """Bytes that a window reads, of the given input channels; SAME padding as TensorFlow defines it."""
    _, height, width, depth = file.tensors[0].shape
    _, out_h, out_w, _ = file.tensors[1].shape
    options = file.ops[0].options
    kernel = (options.get("filterHeight"), options.get("filterWidth"))
    if kernel[0] is None:
        kernel = file.tensors[2].shape[1:3]
    stride, far = options["strideH"], options.get("dilationHFactor", 1) or 1
    for filter_y, filter_x in product(range(kernel[0]), range(kernel[1])):
        y = pixel // out_w * stride - _pad(height, out_h, kernel[0], stride, far, options) + filter_y * far
        x = pixel % out_w * stride - _pad(width, out_w, kernel[1], stride, far, options) + filter_x * far
        if 0 <= y < height and 0 <= x < width:
            yield from (("read", (y * width + x) * depth + channel) for channel in channels)


def _pad(size: int, out: int, kernel: int, stride: int, far: int, options: Any) -> int:
    return 0 if options.get("padding") == 1 else max((out - 1) * stride + (kernel - 1) * far + 1 - size, 0) // 2


def reference_events(file: ModelFile) -> Events:
    """``conv.h``, ``depthwise_conv.h``, ``pooling.h``: for each pixel and output channel, read, then write."""
    depth, (_, out_h, out_w, channels) = file.tensors[0].shape[3], file.tensors[1].shape
    group = file.tensors[2].shape[3] if file.ops[0].kind == "CONV_2D" else 1
    for pixel, channel in product(range(out_h * out_w), range(channels)):
        first = channel // (channels // (depth // group)) * group
        yield from window(file, pixel, range(first, first + group))
        yield "write", pixel * channels + channel


def pairs_of_channels(file: ModelFile) -> Events:
    """``arm_nn_mat_mult_nt_t_s8.c`` without MVE, for a 1 x 1 convolution of stride 1."""
    depth, (_, out_h, out_w, channels) = file.tensors[0].shape[3], file.tensors[1].shape
    pixels = out_h * out_w
    for channel in range(0, channels - 1, 2):
        for pixel in range(0, pixels, 2):
            both = range(pixel, min(pixel + 2, pixels))
            yield from (("read", p * depth + c) for p in both for c in range(depth))
            yield from (("write", p * channels + c) for p in both for c in (channel, channel + 1))
    for pixel in range(pixels if channels % 2 else 0):
        yield from (("read", pixel * depth + c) for c in range(depth))
        yield "write", pixel * channels + channels - 1


def blocks_of_four(file: ModelFile) -> Events:
    """``arm_nn_mat_mult_nt_t_s8.c`` with MVE, for a 1 x 1 convolution of stride 1."""
    depth, (_, out_h, out_w, channels) = file.tensors[0].shape[3], file.tensors[1].shape
    pixels = out_h * out_w
    for pixel, channel in product(range(0, pixels - 3, 4), range(channels)):
        yield from (("read", p * depth + c) for p in range(pixel, pixel + 4) for c in range(depth))
        yield from (("write", p * channels + channel) for p in range(pixel, pixel + 4))
    for pixel in range(pixels // 4 * 4, pixels):
        for channel in range(channels):
            yield from (("read", pixel * depth + c) for c in range(depth))
            if channel % 4 == 3:
                yield from (("write", pixel * channels + c) for c in range(channel - 3, channel + 1))
        yield from (("write", pixel * channels + c) for c in range(channels // 4 * 4, channels))


def columns(file: ModelFile, block: int) -> Events:
    """``arm_convolve_s8.c``: some windows go to a buffer before their pixels are written."""
    depth, (_, out_h, out_w, channels) = file.tensors[0].shape[3], file.tensors[1].shape
    for base in range(0, out_h * out_w, block):
        pixels = range(base, min(base + block, out_h * out_w))
        for pixel in pixels:
            yield from window(file, pixel, range(depth))
        yield from (("write", pixel * channels + c) for pixel in pixels for c in range(channels))


def max_pool_events(file: ModelFile) -> Events:
    """``arm_max_pool_s8.c``, byte by byte; a copy that is no copy onto itself may run in any order."""
    channels = file.tensors[1].shape[3]
    for pixel in range(math.prod(file.tensors[1].shape[1:3])):
        reads = list(window(file, pixel, range(channels)))
        yield from (("write", pixel * channels + c) for c in range(channels))
        yield from reads


SIZES = st.integers(1, 6)
FEW = st.integers(1, 4)
MAPS = st.tuples(SIZES, SIZES, FEW, st.integers(1, 6))


@settings(max_examples=40, deadline=None)
@given(MAPS, st.tuples(FEW, FEW), st.integers(1, 3), st.integers(0, 2), st.integers(0, 1), st.data())
def test_convolution_agrees_with_its_events(
    sizes: tuple[int, int, int, int], kernel: tuple[int, int], stride: int, dilation: int, padding: int, data: Any
) -> None:
    options = {"padding": padding, "dilationHFactor": dilation, "dilationWFactor": dilation}
    if padding:
        sizes = (sizes[0] + 6, sizes[1] + 6, *sizes[2:])
    file = conv(*sizes, kernel, stride, **options)
    far = sum(tensor_bytes(entry) for entry in file.tensors[:2])
    for distance in {data.draw(st.integers(0, tensor_bytes(file.tensors[1]))) for _ in range(4)}:
        found = check(file, far, far - distance)
        assert (found is None) == is_safe(reference_events(file), distance)


@settings(max_examples=25, deadline=None)
@given(MAPS, st.integers(1, 3), st.integers(1, 2), st.sampled_from(("DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D")))
def test_depthwise_and_pooling_agree_with_their_events(
    sizes: tuple[int, int, int, int], kernel: int, other: int, kind: str
) -> None:
    height, width, channels = sizes[0] + 2, sizes[1] + 2, sizes[3]
    if kind == "DEPTHWISE_CONV_2D":
        file = depthwise(height, width, channels, kernel, other)
    else:
        file = pool(kind, height, width, channels, kernel, other)
    distance = tight_distance(file, Kernels.REFERENCE)
    assert is_safe(reference_events(file), distance)
    assert distance == 0 or not is_safe(reference_events(file), distance - 1)


@settings(max_examples=30, deadline=None)
@given(MAPS)
def test_pointwise_convolution_of_cmsis_agrees_with_its_events(sizes: tuple[int, int, int, int]) -> None:
    file = conv(*sizes, (1, 1))
    far = sum(tensor_bytes(entry) for entry in file.tensors[:2])
    for distance in range(0, tensor_bytes(file.tensors[1]) + 1):
        safe = all(is_safe(events(file), distance) for events in (pairs_of_channels, blocks_of_four))
        assert (check(file, far, far - distance, kernels=Kernels.CMSIS_NN) is None) == safe


@settings(max_examples=20, deadline=None)
@given(MAPS, st.integers(1, 2))
def test_convolution_of_cmsis_agrees_with_its_events(sizes: tuple[int, int, int, int], stride: int) -> None:
    file = conv(sizes[0] + 1, *sizes[1:], (3, 2), stride)  # more than a row, so not arm_convolve_1_x_n_s8.c
    distance = tight_distance(file, Kernels.CMSIS_NN)
    assert all(is_safe(columns(file, block), distance) for block in (2, 4))
    assert distance == 0 or not all(is_safe(columns(file, block), distance - 1) for block in (2, 4))


@settings(max_examples=20, deadline=None)
@given(MAPS, st.integers(2, 3), st.integers(1, 2))
def test_max_pooling_of_cmsis_agrees_with_its_events(
    sizes: tuple[int, int, int, int], kernel: int, stride: int
) -> None:
    file = pool("MAX_POOL_2D", sizes[0] + 2, sizes[1] + 2, 4 * sizes[2], kernel, stride)
    far = sum(tensor_bytes(entry) for entry in file.tensors[:2])
    for distance in range(1, tensor_bytes(file.tensors[1]) + 1):  # at 0 the first pixel is copied onto itself
        safe = is_safe(max_pool_events(file), distance)
        found = check(file, far, far - distance, kernels=Kernels.CMSIS_NN)
        assert found is None if safe else found is not None or _copies_onto_itself(file, distance)


def _copies_onto_itself(file: ModelFile, distance: int) -> bool:
    """Whether an output pixel may lie on the first pixel of its window."""
    return distance % file.tensors[1].shape[3] == 0


def test_tight_distance_of_a_convolution() -> None:
    file = conv(4, 4, 1, 8)
    # the last pixel still reads bytes 10, 11, 14 and 15 after 7 of its own 8 channels are written: 127 - 10
    assert tight_distance(file, Kernels.REFERENCE) == 117
    assert check(file, 200, 200 - 117) is None
    found = check(file, 200, 200 - 116)
    assert found == Violation(0, "CONV_2D", 0, 10, "reference")
    assert found.describe(file) == (
        "byte 10 of tensor 0 (t1x4x4x1) is overwritten before operator 1, CONV_2D, reads it (reference)"
    )


def test_own_kernels_may_write_a_pixel_before_they_read_its_window() -> None:
    assert tight_distance(conv(4, 4, 1, 8), Kernels.NAS_C) == 118
    assert tight_distance(conv(3, 3, 4, 4, (1, 1)), Kernels.NAS_C) == 4


def test_pointwise_convolution_may_overlap_in_reference_kernels_alone() -> None:
    file = conv(6, 6, 8, 8, (1, 1))
    assert check(file, 64, 64 - 7) is None
    assert check(file, 64, 64 - 6) is not None
    found = check(file, 64, 64 - 8, kernels=Kernels.CMSIS_NN)
    assert found is not None
    assert found.kernels == "cmsis-nn, scalar"


def test_strided_pointwise_convolution_of_cmsis_works_row_by_row() -> None:
    file = conv(8, 8, 8, 8, (1, 1), 2)
    assert check(file, 64, 0, kernels=Kernels.CMSIS_NN) is None
    assert check(file, 8, 0, kernels=Kernels.CMSIS_NN) is not None
    assert check(file, 8, 0) is None


def test_kernel_of_one_row_has_blocks_of_four_with_mve() -> None:
    file = conv(1, 16, 2, 2, (1, 3))
    found = check(file, 104, 100, kernels=Kernels.CMSIS_NN)
    assert found is not None
    assert found.kernels == "cmsis-nn, MVE"
    assert check(file, 104, 100) is None


def rows_in_blocks_of_four(file: ModelFile) -> Events:
    """``arm_convolve_1_x_n_s8.c`` with MVE, where no window hangs over the border and rows are of four pixels."""
    depth, (_, _, out_w, channels) = file.tensors[0].shape[3], file.tensors[1].shape
    for pixel, channel in product(range(0, out_w, 4), range(channels)):
        for p in range(pixel, pixel + 4):
            yield from window(file, p, range(depth))
        yield from (("write", p * channels + channel) for p in range(pixel, pixel + 4))


@pytest.mark.parametrize(("depth", "channels"), [(1, 6), (2, 3), (3, 8), (6, 5)])
def test_a_window_that_ends_at_the_border_is_not_over_it(depth: int, channels: int) -> None:
    file = conv(1, 6, depth, channels, (1, 3), padding=1)
    assert file.tensors[1].shape == (1, 1, 4, channels)
    distance = tight_distance(file, Kernels.CMSIS_NN)
    events = lambda: (columns(file, 2), rows_in_blocks_of_four(file))  # noqa: E731  they can be read once
    assert all(is_safe(one, distance) for one in events())
    assert distance == 0 or not all(is_safe(one, distance - 1) for one in events())


def test_groups_are_the_outer_loop_of_cmsis() -> None:
    file = conv(6, 6, 4, 4, (3, 3), group_depth=2)
    assert check(file, 134, 100) is None
    assert check(file, 134, 100, kernels=Kernels.CMSIS_NN) is not None
    assert check(file, 132, 100, kernels=Kernels.CMSIS_NN) is None  # each group lies on its own channels


def by_four_channels(file: ModelFile) -> Events:
    """``arm_depthwise_conv_3x3_s8.c`` without MVE: four channels of a pixel at a time, the rest singly."""
    _, out_h, out_w, channels = file.tensors[1].shape
    for pixel in range(out_h * out_w):
        channel = 0
        while channel < channels:
            some = range(channel, channel + (4 if channel + 4 <= channels else 1))
            yield from window(file, pixel, some)
            yield from (("write", pixel * channels + c) for c in some)
            channel = some.stop


@pytest.mark.parametrize(("height", "width", "channels"), [(4, 2, 8), (4, 2, 6), (5, 3, 4), (3, 5, 5)])
def test_depthwise_convolution_of_cmsis_agrees_with_its_events(height: int, width: int, channels: int) -> None:
    """On a map two pixels wide, the plain C code needs more than the blocks of four pixels of MVE."""
    file = depthwise(height, width, channels, 3)
    distance = tight_distance(file, Kernels.CMSIS_NN)
    assert is_safe(by_four_channels(file), distance)
    assert is_safe(columns(file, 4), distance)
    assert not (is_safe(by_four_channels(file), distance - 1) and is_safe(columns(file, 4), distance - 1))


def test_channels_of_a_depthwise_convolution_are_blocked_with_mve() -> None:
    for channels, safe in ((124, True), (125, False)):
        found = check(depthwise(4, 4, channels, 3), 1_000, 200, kernels=Kernels.CMSIS_NN)
        assert (found is None) == safe
        assert found is None or found.kernels == "cmsis-nn, MVE"


def test_depthwise_convolution_of_one_channel_may_run_as_a_convolution_with_mve() -> None:
    file = depthwise(4, 4, 1, 1, 16)
    assert check(file, 240, 0) is None
    found = check(file, 240, 0, kernels=Kernels.CMSIS_NN)
    assert found is not None
    assert found.kernels == "cmsis-nn, MVE"


def test_max_pooling_of_cmsis_collects_in_the_output() -> None:
    file = pool("MAX_POOL_2D", 2, 2, 4, 2, 1)
    for source, result, safe in ((0, 0, True), (0, 4, False), (2, 0, False), (4, 0, True)):
        assert check(file, source, result) is None
        assert (check(file, source, result, kernels=Kernels.CMSIS_NN) is None) == safe


def test_max_pooling_of_cmsis_reads_every_four_channels_of_a_pixel() -> None:
    """The first pixel goes to bytes 12 to 19. The last four channels of the second pixel, 12 to 15, are lost by it."""
    file = pool("MAX_POOL_2D", 1, 2, 8, 2, 1)
    file = replace(file, ops=(replace(file.ops[0], options={**file.ops[0].options, "filterHeight": 1}),))
    file = replace(file, tensors=(file.tensors[0], tensor(1, 1, 1, 8)))
    assert check(file, 0, 16, kernels=Kernels.CMSIS_NN) is None
    found = check(file, 0, 12, kernels=Kernels.CMSIS_NN)
    assert found is not None
    assert (found.tensor, found.byte) == (0, 12)


@pytest.mark.parametrize("kernels", [Kernels.REFERENCE, Kernels.CMSIS_NN])
def test_global_average_pooling_in_place(kernels: Kernels) -> None:
    assert check(pool("AVERAGE_POOL_2D", 5, 5, 7, 5, 1), 0, 0, kernels=kernels) is None


@pytest.mark.parametrize("kernels", ALL)
@pytest.mark.parametrize("kind", ["FULLY_CONNECTED", "SOFTMAX", "MEAN", "TRANSPOSE"])
def test_operators_that_need_all_of_their_input_overlap_nothing(kind: str, kernels: Kernels) -> None:
    file = unary(kind, tensor(1, 8), tensor(1, 8), tensor(8, 8, data=64))
    assert check(file, 0, 8, kernels=kernels) is None
    assert check(file, 8, 0, kernels=kernels) is None
    assert check(file, 1, 8, kernels=kernels) == Violation(0, kind, 0, 7, kernels)
    assert check(file, 7, 0, kernels=kernels) == Violation(0, kind, 0, 0, kernels)


@pytest.mark.parametrize("kernels", ALL)
def test_addition_in_place_of_either_operand(kernels: Kernels) -> None:
    file = addition()
    assert check(file, 0, 64, 0, kernels=kernels) is None
    assert check(file, 0, 64, 64, kernels=kernels) is None
    assert check(file, 1, 65, 0, kernels=kernels) is None
    assert check(file, 0, 65, 64, kernels=kernels) is None
    found = check(file, 0, 64, 1, kernels=kernels)
    assert found is not None
    assert (found.tensor, found.byte) == (0, 1)


def addition(*more: FileOp, outputs: tuple[int, ...] = (2,)) -> ModelFile:
    maps = [tensor(1, 4, 4, 4) for _ in range(3 + len(more))]
    return model(*maps, ops=[FileOp("ADD", (0, 1), (2,), {}), *more], inputs=(0, 1), outputs=outputs)


@pytest.mark.parametrize("kernels", ALL)
def test_addition_in_place_of_an_operand_that_is_needed_later(kernels: Kernels) -> None:
    file = addition(FileOp("ADD", (0, 2), (3,), {}), outputs=(3,))
    found = check(file, 0, 64, 0, 128, kernels=kernels)
    assert found is not None
    assert (found.op, found.tensor, found.byte) == (1, 0, 0)
    assert check(file, 0, 64, 64, 0, kernels=kernels) is None


def test_a_broadcast_operand_is_read_to_the_end() -> None:
    file = model(
        tensor(1, 4, 4, 4), tensor(1, 1, 1, 4), tensor(1, 4, 4, 4),
        ops=[FileOp("MUL", (0, 1), (2,), {})], inputs=(0, 1), outputs=(2,),
    )  # fmt: skip
    assert check(file, 0, 64, 0) is None
    assert check(file, 64, 0, 0) == Violation(0, "MUL", 1, 0, "reference")
    assert check(file, 100, 59, 0) is not None
    assert check(file, 100, 60, 0) is None  # each byte is overwritten by the last value that reads it


def test_quantising_in_place_but_not_back() -> None:
    narrow, wide = tensor(1, 8), tensor(1, 8, dtype="float32")
    assert check(unary("QUANTIZE", wide, narrow), 0, 0) is None
    assert check(unary("DEQUANTIZE", narrow, wide), 0, 0) is not None
    assert tight_distance(unary("DEQUANTIZE", narrow, wide), Kernels.REFERENCE) == 21


def test_padding_may_all_lie_before_the_values() -> None:
    file = unary("PAD", tensor(1, 2, 2, 2), tensor(1, 3, 4, 2), tensor(4, 2, dtype="int32", data=32))
    # the last value, byte 7, is read before output byte 23 is written, the first one after 12 bytes of padding
    assert tight_distance(file, Kernels.REFERENCE) == 16
    assert check(file, 20, 5) is not None
    assert check(file, 20, 5, kernels=Kernels.CMSIS_NN) is not None
    assert check(file, 24, 0, kernels=Kernels.CMSIS_NN) is None


def test_cmsis_pads_maps_of_up_to_four_axes() -> None:
    """Of more axes nothing is known, so that nothing may overlap; the reference kernel goes value by value."""
    for axes, safe in ((4, True), (5, False)):
        shape = (2,) * axes
        result = tensor(*shape[:-2], 3, 2)
        file = unary("PAD", tensor(*shape), result, tensor(axes, 2, dtype="int32", data=32))
        size, padded = tensor_bytes(file.tensors[0]), tensor_bytes(result)
        assert check(file, padded - size, 0) is None
        assert (check(file, padded - size + 4, 0, kernels=Kernels.CMSIS_NN) is None) == safe


@pytest.mark.parametrize("kernels", ALL)
def test_concatenation_of_channels_and_of_rows(kernels: Kernels) -> None:
    for axis, shape in ((3, (1, 2, 2, 8)), (-3, (1, 4, 2, 4))):
        file = model(
            tensor(1, 2, 2, 4), tensor(1, 2, 2, 4), tensor(*shape),
            ops=[FileOp("CONCATENATION", (0, 1), (2,), {"axis": axis})], inputs=(0, 1), outputs=(2,),
        )  # fmt: skip
        assert check(file, 32, 48, 0, kernels=kernels) is None
        # rows lie where they stay, whole; channels overtake the input that begins where the output does
        assert (check(file, 0, 16, 0, kernels=kernels) is None) == (axis == -3)
        assert check(file, 0, 18, 0, kernels=kernels) is not None


@pytest.mark.parametrize("kernels", ALL)
@pytest.mark.parametrize("kind", ["RESHAPE", "SQUEEZE"])
def test_reshaping_in_place_or_apart(kind: str, kernels: Kernels) -> None:
    file = unary(kind, tensor(1, 2, 8), tensor(2, 8))
    assert check(file, 4, 4, kernels=kernels) is None
    assert check(file, 16, 0, kernels=kernels) is None
    for source, result in ((4, 0), (0, 4)):
        assert check(file, source, result, kernels=kernels) is not None


@pytest.mark.parametrize("kernels", ALL)
def test_a_shortcut_that_is_overwritten_on_the_way(kernels: Kernels) -> None:
    maps = [tensor(1, 4, 4, 4) for _ in range(5)]
    ops = [FileOp("RELU", (place,), (place + 1,), {}) for place in range(3)] + [FileOp("ADD", (0, 3), (4,), {})]
    file = model(*maps, ops=ops, outputs=(4,))
    assert check(file, 0, 64, 64, 64, 0, kernels=kernels) is None
    found = check(file, 0, 64, 63, 62, 128, kernels=kernels)
    assert found is not None
    assert (found.op, found.kind, found.tensor, found.byte) == (3, "ADD", 0, 62)


def test_scratch_over_a_living_tensor() -> None:
    file = addition(FileOp("ADD", (0, 2), (3,), {}), outputs=(3,))
    places = plan(file, 0, 64, 128, 192)
    assert verify(file, [*places, scratch(256, 16, 1), scratch(64, 16, 2)], Kernels.REFERENCE) is None
    found = verify(file, [*places, scratch(50, 10, 1)], Kernels.REFERENCE)
    assert found == Violation(0, "ADD", 0, 50, "reference")
    found = verify(file, [*places, scratch(130, 1, 1)], Kernels.REFERENCE)
    assert found == Violation(1, "ADD", 2, 2, "reference")


def test_results_must_be_there_at_the_end() -> None:
    file = addition(FileOp("ADD", (0, 1), (3,), {}), outputs=(2, 3))
    found = check(file, 0, 64, 128, 129)
    assert found == Violation(2, "", 2, 1, "reference")
    assert "before the end, although it is a result" in found.describe(file)


def test_inputs_that_lie_on_each_other_are_caught() -> None:
    assert check(addition(), 0, 32, 128) == Violation(0, "ADD", 0, 32, "reference")


def test_constants_and_inputs_that_are_left_out_need_no_place() -> None:
    ops = [FileOp("ADD", (0, 1), (2,), {}), FileOp("SVDF", (2, -1), (3,), {})]
    file = model(tensor(4), tensor(4, data=4), tensor(4), tensor(4), ops=ops, outputs=(3,))
    assert check(file, 0, 0, 4) is None
    assert check(file, 0, 0, 3) is not None


def test_a_state_with_a_place_must_stay() -> None:
    state = FileTensor("state", (4,), "int8", variable=True)
    file = model(tensor(4), tensor(4), state, ops=[FileOp("SVDF", (0, 2), (1,), {})], outputs=(1,))
    assert verify(file, plan(file, 0, 4, 8)[:2], Kernels.REFERENCE) is None
    assert check(file, 0, 4, 8) is None
    assert check(file, 0, 4, 6) == Violation(0, "SVDF", 2, 0, "reference")


@pytest.mark.parametrize("kernels", ALL)
def test_custom_operators_and_unknown_types_overlap_nothing(kernels: Kernels) -> None:
    custom = FileOp("RELU", (0,), (1,), {}, custom=True)
    assert check(model(tensor(4), tensor(4), ops=[custom], outputs=(1,)), 0, 0, kernels=kernels) is not None
    wide = unary("RELU", tensor(4, dtype="float64"), tensor(4, dtype="float64"))
    assert check(wide, 0, 0, kernels=kernels) is not None
    assert check(wide, 0, 32, kernels=kernels) is None


def test_an_arena_that_no_microcontroller_has_is_refused() -> None:
    """Before memory is taken for it, wherever the other tensors lie."""
    with pytest.raises(InputError, match="at most 16,777,216 are planned"):
        check(addition(), 0, 64, MOST_ARENA_BYTES)
    assert check(addition(), 0, 64, 128) is None


def test_a_tensor_without_a_place_and_one_before_the_arena() -> None:
    file = addition()
    with pytest.raises(InputError, match="no offset for tensor 't1x4x4x4'"):
        verify(file, plan(file, 0, 64, 128)[:2], Kernels.REFERENCE)
    with pytest.raises(InputError, match="offset -16 of 't1x4x4x4': the arena begins at 0"):
        check(file, -16, 64, 128)
