"""Safe distances: the verifier accepts plans that use them, and rejects most that go 16 bytes further."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_files import Sketch, window_file

from nas.model_file import ModelFile, tensor_bytes
from nas.plan.distances import Layer, layer_distance, safe_distances
from nas.plan.frontier import Window
from nas.plan.placement import Kernels, Placement, aligned
from nas.plan.replay import verify

R, C, N = Kernels
WINDOWS = ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D")
PAIRS = ("ADD", "SUB", "MUL", "MAXIMUM")
SEEDS = st.integers(0, 2**32)
CASTS = ("QUANTIZE", "DEQUANTIZE")
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def distance(file: ModelFile, *kernels: Kernels, tensor: int = 0) -> int | None:
    """Safe distance below an input of the last operator; ``None``: no overlap, said in either way."""
    found = safe_distances(file, file.ops[-1], kernels).get(tensor)
    return found if found is not None and found < tensor_bytes(file.tensors[file.ops[-1].outputs[0]]) else None


def is_safe(file: ModelFile, kernels: Kernels, by: int, tensor: int = 0) -> bool:
    """Whether the output may begin so many bytes before an input; the other inputs lie elsewhere."""
    output = file.ops[0].outputs[0]
    sizes = [tensor_bytes(entry) for entry in file.tensors]
    middle = max(sizes) + abs(by)
    places, top = {tensor: middle, output: middle - by}, 2 * middle + sum(sizes)
    for other in file.inputs:
        if other not in places:
            places[other] = top
            top += sizes[other]
    return verify(file, [Placement(t, "", at, sizes[t], 0, 1) for t, at in places.items()], kernels) is None


def require_safe(file: ModelFile, kernels: Kernels) -> None:
    for tensor, by in safe_distances(file, file.ops[0], (kernels,)).items():
        assert by >= 0
        for rounded in (by, aligned(by), aligned(by) + 16):
            assert is_safe(file, kernels, rounded, tensor), (tensor, by, rounded)


@st.composite
def other_files(draw: st.DrawFn) -> ModelFile:
    """One operator that does not slide a window."""
    sketch, shape = Sketch(draw(st.sampled_from(("int8", "int8", "int16", "float32")))), draw(SHAPES)
    kind = draw(st.sampled_from((*PAIRS, "RELU", "PAD", "CONCATENATION", *CASTS, "EXPAND_DIMS")))
    inputs = [sketch.tensor(*shape)]
    if kind in PAIRS:
        inputs.append(sketch.tensor(*(size if draw(st.integers(0, 4)) else 1 for size in shape)))
        output = sketch.same(kind, *inputs)
    elif kind == "PAD":
        output = sketch.pad(inputs[0], *(draw(st.integers(0, 3)) for _ in shape))
    elif kind == "CONCATENATION":
        axis = draw(st.integers(0, len(shape) - 1))
        widths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=2))
        inputs += [sketch.tensor(*shape[:axis], width, *shape[axis + 1 :]) for width in widths]
        output = sketch.concatenation(axis, *inputs)
    elif kind in CASTS:
        output = sketch.op(kind, inputs, sketch.tensor(*shape, dtype=draw(st.sampled_from(("int8", "float32")))))
    elif kind == "EXPAND_DIMS":
        output = sketch.op(kind, inputs, sketch.tensor(1, *shape))
    else:
        output = sketch.same(kind, inputs[0])
    return sketch.file(inputs, [output])


@pytest.mark.parametrize("kernels", Kernels)
@pytest.mark.parametrize("kind", WINDOWS)
@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, dtype=st.sampled_from(("int8", "int8", "int16", "float32")))
def test_windows_are_safe_at_their_distance(kind: str, kernels: Kernels, seed: int, dtype: str) -> None:
    require_safe(window_file(np.random.default_rng(seed), kind, dtype), kernels)


@pytest.mark.parametrize("kernels", Kernels)
@settings(max_examples=100, deadline=None)
@given(file=other_files())
def test_other_operators_are_safe_at_their_distance(file: ModelFile, kernels: Kernels) -> None:
    require_safe(file, kernels)


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize(
    ("kind", "kernels", "spare"),
    [
        # the last value of a pixel is written after its window was read, so that one less would do
        ("CONV_2D", R, 1),
        ("DEPTHWISE_CONV_2D", R, 0),
        ("AVERAGE_POOL_2D", R, 0),
        ("MAX_POOL_2D", R, 0),
        ("CONV_2D", N, 0),
    ],
)
def test_the_distance_is_tight_to_a_value(kind: str, kernels: Kernels, spare: int, dtype: str) -> None:
    bold, width = 0, {"int8": 1, "int16": 2, "float32": 4}[dtype]
    for seed in range(60):
        file = window_file(np.random.default_rng(seed), kind, dtype, plain=True)
        by = distance(file, kernels)
        if by is None:
            continue
        assert is_safe(file, kernels, by - spare * width)
        if by > spare * width:
            bold += 1
            assert not is_safe(file, kernels, by - spare * width - 1)
    assert bold >= 12


@pytest.mark.parametrize(
    ("kind", "kernels", "most"),
    [
        *((kind, R, 0.7) for kind in WINDOWS),
        # it copies whole windows before it writes, on which the distance does not count
        ("CONV_2D", C, 0.2),
        *((kind, C, 0.7) for kind in WINDOWS[1:]),
    ],
)
def test_sixteen_bytes_less_are_too_few_in_most_cases(kind: str, kernels: Kernels, most: float) -> None:
    """Tests of plans that use distances can fail."""
    rejected = []
    for seed in range(150):
        file = window_file(np.random.default_rng(seed), kind)
        by = distance(file, kernels)
        if by is not None and by >= 16:
            rejected.append(not is_safe(file, kernels, by - 16))
    assert len(rejected) >= 10
    assert sum(rejected) >= most * len(rejected)


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(WINDOWS), other=other_files())
def test_several_kernel_sets_get_the_largest_distance(seed: int, kind: str, other: ModelFile) -> None:
    for file in (window_file(np.random.default_rng(seed), kind), other):
        require_largest(file)


def require_largest(file: ModelFile) -> None:
    alone = [safe_distances(file, file.ops[0], (one,)) for one in Kernels]
    expected = {t: max(one[t] for one in alone) for t in alone[0] if all(t in one for one in alone)}
    assert safe_distances(file, file.ops[0], tuple(Kernels)) == expected
    assert safe_distances(file, file.ops[0], tuple(reversed(Kernels))) == expected


def conv(
    depth: int = 8, channels: int = 8, *, size: tuple[int, int] = (6, 6), dtype: str = "int8", **more: object
) -> ModelFile:
    sketch = Sketch(dtype)
    x = sketch.tensor(1, *size, depth)
    return sketch.file([x], [sketch.window("CONV_2D", x, channels, **more)])  # type: ignore[arg-type]


def depthwise(channels: int, multiplier: int = 1, kernel: tuple[int, int] = (3, 3)) -> ModelFile:
    sketch = Sketch()
    x = sketch.tensor(1, 6, 6, channels)
    return sketch.file([x], [sketch.window("DEPTHWISE_CONV_2D", x, channels * multiplier, kernel)])


def pool(kind: str, kernel: tuple[int, int] = (2, 2)) -> ModelFile:
    sketch = Sketch()
    x = sketch.tensor(1, 6, 6, 8)
    return sketch.file([x], [sketch.window(kind, x, kernel=kernel)])


def test_distances_by_hand() -> None:
    """A kernel of 3 lags a row of 6 pixels and one pixel behind; the pixel itself counts where it is written early."""
    assert [distance(conv(), one) for one in Kernels] == [64, 64, 64]
    assert [distance(depthwise(8), one) for one in Kernels] == [56, 56, 64]
    assert [distance(depthwise(8, 2), one) for one in Kernels] == [352, 352, 352]
    assert [distance(pool("AVERAGE_POOL_2D"), one) for one in Kernels] == [0, 0, 8]
    assert [distance(pool("MAX_POOL_2D"), one) for one in Kernels] == [0, 8, 8]
    assert [distance(conv(16, 4), one) for one in Kernels] == [32, 32, 32]
    # the map grows: while the last pixel is written, the last two rows but one pixel are still read
    assert distance(conv(4, 8), R) == 36 * 8 - (4 * 6 + 4) * 4


def test_wider_values_need_wider_distances() -> None:
    assert distance(conv(dtype="float32"), R) == 4 * 64
    assert distance(conv(dtype="int16"), R) == 2 * 64


@pytest.mark.parametrize(
    "file",
    [
        conv(kernel=(1, 1)),
        conv(kernel=(1, 1), stride=(2, 2)),
        conv(groups=2),
        conv(2, 2, size=(1, 16), kernel=(1, 3)),
        depthwise(125),
        depthwise(1, 16, (1, 1)),
    ],
    ids=["1x1", "1x1 with stride", "grouped", "one row", "125 channels", "one channel"],
)
def test_cmsis_nn_does_not_go_pixel_by_pixel(file: ModelFile) -> None:
    assert distance(file, R) is not None
    assert distance(file, C) is None
    assert distance(file, R, C) is None
    size = tensor_bytes(file.tensors[-1])
    assert not all(is_safe(file, C, by) for by in range(distance(file, R) or 0, size))


def test_cmsis_nn_takes_124_channels_at_once() -> None:
    assert distance(depthwise(124), C) == distance(depthwise(124), R) == 7 * 124


@pytest.mark.parametrize(("dtype", "expected"), [("int8", True), ("int16", False), ("float32", True)])
def test_cmsis_nn_has_kernels_for_some_types(dtype: str, expected: bool) -> None:
    """float32 runs on the reference kernels, even 1 x 1."""
    assert (distance(conv(dtype=dtype), C) is not None) == expected
    assert (distance(conv(dtype=dtype, kernel=(1, 1)), C) is not None) == (dtype == "float32")
    sketch = Sketch(dtype)
    x = sketch.tensor(1, 4, 4, 4)
    add = sketch.file([x], [sketch.same("ADD", x, x)])
    assert distance(add, C) == (0 if expected else None)


def test_weights_of_four_bits_are_not_known_of_cmsis_nn() -> None:
    file = conv()
    four_bits = replace(file, tensors=(file.tensors[0], replace(file.tensors[1], dtype="int4"), file.tensors[2]))
    assert distance(four_bits, R) == 64
    assert distance(four_bits, C) is None


@pytest.mark.parametrize("kernels", Kernels)
def test_operators_that_need_all_of_their_input(kernels: Kernels) -> None:
    sketch = Sketch()
    x = sketch.tensor(1, 4, 4, 4)
    for y in (sketch.dense(x, 64), sketch.same("SOFTMAX", x), sketch.mean(x), sketch.same("TRANSPOSE", x)):
        assert safe_distances(sketch.file([x], [y]), sketch.ops[-1], (kernels,)) == {}, sketch.ops[-1].kind


@pytest.mark.parametrize("kernels", Kernels)
def test_unknown_and_custom_operators_types_and_batches(kernels: Kernels) -> None:
    for file in (
        _one("NOT_AN_OPERATOR"),
        _one("RELU", custom=True),
        _one("RELU", dtype="float64"),
        _one("RELU", outputs=2),
        conv(dtype="uint8"),
    ):
        assert safe_distances(file, file.ops[0], (kernels,)) == {}
    sketch = Sketch()
    x = sketch.tensor(2, 4, 4, 4)
    assert safe_distances(sketch.file([x], [sketch.window("CONV_2D", x)]), sketch.ops[0], (kernels,)) == {}


def _one(kind: str, *, custom: bool = False, dtype: str = "int8", outputs: int = 1) -> ModelFile:
    sketch = Sketch(dtype)
    x, y, z = (sketch.tensor(4, 4) for _ in range(3))
    sketch.op(kind, (x,), y, custom=custom)
    sketch.ops[0] = replace(sketch.ops[0], outputs=(y, z)[:outputs])
    return sketch.file([x], [y])


@pytest.mark.parametrize("kernels", Kernels)
def test_a_broadcast_operand_gets_no_overlap(kernels: Kernels) -> None:
    sketch = Sketch()
    x, row, y = sketch.tensor(1, 4, 4, 4), sketch.tensor(1, 1, 1, 4), sketch.tensor(1, 4, 4, 4)
    for inputs in ((x, row), (row, x)):
        sketch.op("MUL", inputs, y)
        assert safe_distances(sketch.file([x, row], [y]), sketch.ops[-1], (kernels,)) == {x: 0}


def test_values_that_grow_must_not_run_ahead() -> None:
    sketch = Sketch()
    x = sketch.tensor(1, 8)
    y = sketch.op("DEQUANTIZE", (x,), sketch.tensor(1, 8, dtype="float32"))
    assert distance(sketch.file([x], [y]), R) == 24
    z = sketch.op("QUANTIZE", (y,), sketch.tensor(1, 8))
    assert distance(sketch.file([x], [z]), R, tensor=y) == 0


def test_padding_of_cmsis_nn_is_copied_in_runs() -> None:
    """Of rows, or of pixels where channels are added."""
    for more, run in (((0, 1, 0, 0), 24), ((0, 0, 0, 2), 4)):
        sketch = Sketch()
        x = sketch.tensor(1, 6, 6, 4)
        file = sketch.file([x], [sketch.pad(x, *more)])
        added = tensor_bytes(file.tensors[-1]) - 144
        assert [distance(file, one) for one in (R, C)] == [added, added + run]


@pytest.mark.parametrize(("rank", "known"), [(3, True), (4, True), (5, False)])
def test_padding_of_cmsis_nn_has_at_most_four_dimensions(rank: int, known: bool) -> None:
    sketch = Sketch()
    shape = (2,) * (rank - 1) + (4,)
    x, margins = sketch.tensor(*shape), sketch.tensor(rank, 2, dtype="int32", data=8 * rank)
    file = sketch.file([x], [sketch.op("PAD", (x, margins), sketch.tensor(*shape[:-1], 6))])
    assert distance(file, R) is not None
    assert (distance(file, C) is not None) == known


def test_a_tensor_that_is_joined_twice_gets_the_larger_distance() -> None:
    sketch = Sketch()
    x = sketch.tensor(1, 3, 8)
    file = sketch.file([x], [sketch.concatenation(1, x, x)])
    assert safe_distances(file, file.ops[0], (R,)) == {x: 48}
    assert distance(file, R) is None


def test_the_first_of_joined_rows_may_stay_where_it_is_but_not_move() -> None:
    sketch = Sketch()
    inputs = [sketch.tensor(1, 2, 8), sketch.tensor(1, 3, 8)]
    file = sketch.file(inputs, [sketch.concatenation(1, *inputs)])
    assert safe_distances(file, file.ops[0], (R,)) == {0: 16, 1: 40}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(WINDOWS), st.sets(st.sampled_from(list(Kernels)), min_size=1), st.booleans(), st.data())
def test_many_networks_have_the_distances_of_each(
    kind: str, kernels: set[Kernels], plain: bool, data: st.DataObject
) -> None:
    channels = data.draw(st.lists(st.tuples(st.integers(1, 140), st.integers(1, 140)), min_size=1, max_size=5))
    kernel = data.draw(st.sampled_from(((1, 1), (1, 3), (3, 3))))
    height = data.draw(st.sampled_from((1, 5)))
    window = Window((height, 7), (height, 7), kernel, (1, 1))
    c_in, c_out = (np.array(column) for column in zip(*channels, strict=True))
    alone = [layer_distance(Layer(kind, window, *pair, plain), kernels) for pair in channels]
    together = layer_distance(Layer(kind, window, c_in, c_out, plain), kernels)
    assert np.broadcast_to(together, len(channels)).tolist() == alone


def test_a_convolution_without_weights_is_damaged() -> None:
    sketch = Sketch()
    x = sketch.tensor(1, 4, 4, 4)
    sketch.op("CONV_2D", (x,), sketch.tensor(1, 4, 4, 4), strideH=1, strideW=1)
    with pytest.raises(IndexError, match="CONV_2D without its input 1"):
        safe_distances(sketch.file([x], [x]), sketch.ops[0], (R,))


@pytest.mark.parametrize("kernels", [(R,), (C,), (N,), (R, C)])
@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_networks_that_differ_on_one_side_of_a_layer_have_their_own_distances(
    kind: str, kernels: tuple[Kernels, ...]
) -> None:
    """Of a stage's first layer only the channels behind it differ, of its last one only those before it."""
    many = np.array([1, 4, 7, 124, 125, 300])
    window = Window((9, 6), (5, 3), (3, 2), (2, 2))
    for before, behind in ((3, many), (many, 3), (many, many[::-1])):
        found = layer_distance(Layer(kind, window, before, behind), kernels)
        pairs = zip(
            np.broadcast_to(before, many.shape).tolist(), np.broadcast_to(behind, many.shape).tolist(), strict=True
        )
        assert found.tolist() == [layer_distance(Layer(kind, window, *pair), kernels) for pair in pairs]


@pytest.mark.parametrize("kind", WINDOWS)
def test_a_window_that_does_not_move_overlaps_nothing(kind: str) -> None:
    """Only a damaged file has a stride of 0."""
    file = window_file(np.random.default_rng(0), kind, "int8", plain=True)
    stuck = replace(file.ops[0], options={**file.ops[0].options, "strideH": 0})
    assert safe_distances(replace(file, ops=(stuck,)), stuck, (R,)) == {}


@pytest.mark.parametrize("place", [0, 1])
def test_a_map_without_values_overlaps_nothing(place: int) -> None:
    """Its other sides may be as long as they like; only a damaged file has one."""
    file = window_file(np.random.default_rng(0), "AVERAGE_POOL_2D", "int8", plain=True)
    op = file.ops[0]
    empty = (op.inputs[0], op.outputs[0])[place]
    tensors = [replace(one, shape=(1, 0, *one.shape[2:])) if i == empty else one for i, one in enumerate(file.tensors)]
    assert safe_distances(replace(file, tensors=tuple(tensors)), op, (R,)) == {}
