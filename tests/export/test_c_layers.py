"""Constants of the C kernels, what the C back end refuses, and the random networks whose costs are counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_networks import dense_network, make
from numpy.testing import assert_array_equal

from nas.errors import InputError
from nas.export.c.emit import write_c
from nas.export.c.layers import make_layer
from nas.export.c.program import make_program
from nas.export.c.source import Layer, read_source
from nas.export.c.synthetic import DEVIATION, synthetic_source
from nas.models.int8 import QMAX, QMIN, Grid, Int8Model, Int8Weights, run_int8
from nas.space import Architecture, Block

WINDOW = {"padding": 1, "strideH": 1, "strideW": 1}
DILATED = {**WINDOW, "dilationHFactor": 1, "dilationWFactor": 1}
TANH = 4  # schema.fbs: ActivationFunctionType


def layer_of(build: Callable[[Any], int]) -> Layer:
    """The call of the only operator that ``build`` appends to a model."""
    m = make.Model()
    output = build(m)
    source = read_source(m.pack([0], [output]))
    return make_layer(source, source.model.ops[0])


def convolution(m: Any, depth: int = 4, kind: str = "CONV_2D", bias: int = 0, **fields: Any) -> int:
    x = m.tensor((1, 5, 5, 4), scales=[0.5])
    shape, axis = ((3, 2, 2, depth), 0) if kind == "CONV_2D" else ((1, 2, 2, depth), 3)
    weights = m.tensor(shape, data=1, scales=[0.1] * shape[axis])
    m.graph.tensors[weights].quantization.quantizedDimension = axis
    biases = m.tensor((shape[axis],), "int32", bias, [0.05] * shape[axis])
    y = m.tensor((1, 4, 4, shape[axis]), scales=[fields.pop("scale", 0.5)])
    table = "Conv2DOptions" if kind == "CONV_2D" else "DepthwiseConv2DOptions"
    more = {} if kind == "CONV_2D" else {"depthMultiplier": depth // 4}
    return int(m.op(kind, (x, weights, biases), y, table, **{**DILATED, **more, **fields}))


def pair(m: Any, kind: str, first: tuple[int, ...], second: tuple[int, ...], out: tuple[int, ...]) -> int:
    x, y, z = (m.tensor(shape, scales=[0.5]) for shape in (first, second, out))
    return int(m.op(kind, (x, y), z, "AddOptions" if kind == "ADD" else "MulOptions"))


def mean(m: Any, *axes: int) -> int:
    x, y = m.tensor((1, 4, 5, 6), scales=[0.5]), m.tensor((1, 6), scales=[0.5])
    return int(m.op("MEAN", (x, m.constant(list(axes))), y, "ReducerOptions", keepDims=False))


def padding(m: Any, *before: int) -> int:
    x = m.tensor((1, 2, 2, 2), scales=[0.5])
    y = m.tensor([size + more for size, more in zip((1, 2, 2, 2), before, strict=True)], scales=[0.5])
    return int(m.op("PAD", (x, m.constant([[more, 0] for more in before])), y, "PadOptions"))


def softmax(m: Any, beta: float) -> int:
    x, y = m.tensor((1, 4), scales=[0.1]), m.tensor((1, 4), scales=[1 / 256], zero_point=-128)
    return int(m.op("SOFTMAX", (x,), y, "SoftmaxOptions", beta=beta))


def typed(m: Any, dtype: str) -> int:
    return int(m.op("RELU", (m.tensor((1, 4), dtype, scales=[0.1]),), m.tensor((1, 4), dtype, scales=[0.1])))


def with_zero(m: Any, zero_point: int) -> int:
    return int(m.op("RELU", (m.tensor((1, 4), zero_point=zero_point),), m.tensor((1, 4))))


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda m: convolution(m, 2), "no grouped convolutions"),
        (lambda m: convolution(m, 8, "DEPTHWISE_CONV_2D"), "one output per channel only"),
        (lambda m: convolution(m, fusedActivationFunction=TANH), "CONV_2D: the C back end has no fused activation 4"),
        (lambda m: convolution(m, bias=1 << 30), "CONV_2D: sums of up to .* are beyond the 1,073,741,824"),
        (lambda m: convolution(m, scale=1e-9), "CONV_2D: sums of up to .* are beyond"),
        (lambda m: convolution(m, strideH=256), "a size of 256 is beyond the 255"),
        (
            lambda m: pair(m, "ADD", (1, 2, 2, 3), (1, 1, 1, 3), (1, 2, 2, 3)),
            r"ADD of \(1, 2, 2, 3\) and \(1, 1, 1, 3\)",
        ),
        (
            lambda m: pair(m, "MUL", (1, 2, 3), (1, 2, 1), (1, 2, 3)),
            "MUL of .*: the C back end repeats leading axes only",
        ),
        (
            lambda m: pair(m, "MUL", (1, 2, 1), (1, 1, 3), (1, 2, 3)),
            "MUL of .*: the C back end repeats leading axes only",
        ),
        (lambda m: mean(m, 1, 3), r"MEAN over the axes \[1, 3\]: the C back end has neighbouring axes only"),
        (lambda m: padding(m, 1, 0, 0, 0), "PAD of height, width and channels only"),
        (lambda m: softmax(m, -1.0), "SOFTMAX with a beta of -1.0, expected a positive number"),
        (lambda m: typed(m, "int16"), "RELU on int16: the C back end runs INT8 only"),
        (lambda m: with_zero(m, 128), "tensor 0 has the zero point 128, expected -128 to 127"),
        (lambda m: with_zero(m, -129), "tensor 0 has the zero point -129, expected -128 to 127"),
        (lambda m: m.op("relu", (m.tensor((1, 4)),), m.tensor((1, 4))), "no kernel for relu"),
    ],
)
def test_what_has_no_kernel_is_refused_by_name(build: Callable[[Any], int], told: str) -> None:
    with pytest.raises(InputError, match=told):
        layer_of(build)


@pytest.mark.parametrize("zero_point", [-128, 127])
def test_zero_points_may_lie_at_the_ends(zero_point: int) -> None:
    assert layer_of(lambda m: with_zero(m, zero_point)).fields["in_zero_point"] == zero_point


def test_a_network_has_one_input_and_one_output() -> None:
    for inputs, outputs in (([0, 1], [2]), ([0], [2, 3])):
        m = make.Model()
        x, y = m.tensor((1, 4)), m.tensor((1, 4))
        total = m.op("ADD", (x, y), m.tensor((1, 4)), "AddOptions")
        m.op("RELU", (total,), m.tensor((1, 4)))
        with pytest.raises(InputError, match="one input and one output"):
            make_program(m.pack(inputs, outputs), "net")


@pytest.mark.parametrize(
    ("axes", "shape"), [((1, 2), (1, 20, 6)), ((2, 1), (1, 20, 6)), ((-1,), (20, 6, 1)), ((1, 2, 3), (1, 120, 1))]
)
def test_a_mean_goes_over_neighbouring_axes(axes: tuple[int, ...], shape: tuple[int, int, int]) -> None:
    fields = layer_of(lambda m: mean(m, *axes)).fields
    assert (fields["outer"], fields["reduced"], fields["inner"]) == shape


@pytest.mark.parametrize(
    ("activation", "low", "high"),
    [(0, -128, 127), (1, 10, 127), (2, 6, 14), (3, 10, 34)],  # none, RELU, RELU_N1_TO_1, RELU6
)
def test_fused_activations_are_bounds_on_the_grid_of_the_output(activation: int, low: int, high: int) -> None:
    """Steps of 0.25 with zero at 10: -1 is at 6, 1 at 14, 6 at 34."""

    def build(m: Any) -> int:
        x, y = m.tensor((1, 3), scales=[0.5]), m.tensor((1, 3), scales=[0.5])
        z = m.tensor((1, 3), scales=[0.25], zero_point=10)
        return int(m.op("ADD", (x, y), z, "AddOptions", fusedActivationFunction=activation))

    fields = layer_of(build).fields
    assert (fields["low"], fields["high"]) == (low, high)


def test_a_fused_relu_begins_at_zero_on_the_finest_grid() -> None:
    def build(m: Any) -> int:
        x, y = m.tensor((1, 3), scales=[1e-4]), m.tensor((1, 3), scales=[1e-4])
        z = m.tensor((1, 3), scales=[1e-4], zero_point=-30)
        return int(m.op("ADD", (x, y), z, "AddOptions", fusedActivationFunction=1))

    fields = layer_of(build).fields
    assert (fields["low"], fields["high"]) == (-30, 127)


@pytest.mark.parametrize("zero_point", [-128, -5, 0, 127])
def test_a_mean_of_zeros_is_zero(zero_point: int) -> None:
    """The sum of all values that stand for zero, and the bias, are nothing."""

    def build(m: Any) -> int:
        x, y = m.tensor((1, 4, 5, 6), scales=[0.5], zero_point=zero_point), m.tensor((1, 6), scales=[0.5])
        return int(m.op("MEAN", (x, m.constant([1, 2])), y, "ReducerOptions", keepDims=False))

    fields = layer_of(build).fields
    assert 20 * zero_point + fields["bias"] == 0


@pytest.mark.parametrize(("zero_point", "reach"), [(0, 128), (100, 228), (-128, 255), (127, 255), (-10, 137)])
def test_sums_may_come_up_to_thirty_bits(zero_point: int, reach: int) -> None:
    """16 weights of 1, times the value that is furthest from the zero point, and a bias."""

    def build(bias: int) -> Callable[[Any], int]:
        def convolve(m: Any) -> int:
            output = convolution(m, bias=bias)
            m.graph.tensors[0].quantization.zeroPoint[:] = zero_point
            return output

        return convolve

    most = (1 << 30) - 1 - 16 * reach
    for bias in (most, -most):
        assert layer_of(build(bias)).kernel == "conv"
    for bias in (most + 1, -most - 1):
        with pytest.raises(InputError, match="sums of up to 1,073,741,824 are beyond the 1,073,741,824"):
            layer_of(build(bias))


@pytest.mark.parametrize(("inputs", "filled"), [(7, 8), (8, 8), (9, 12), (1, 4)])
def test_rows_of_weights_are_filled_to_words(inputs: int, filled: int) -> None:
    """With zeros behind them, and no row more."""
    program = make_program(dense_network(0, inputs, 5), "net")
    weights = program.layers[0].fields["weights"].values
    assert weights.shape == (5, filled)
    assert not weights[:, inputs:].any()
    assert weights[:, :inputs].any()


def test_weights_are_aligned_as_kernels_load_them(tmp_path: Path) -> None:
    """Four at once: on a Cortex-M0 a word that does not begin at a multiple of four bytes ends the program."""
    write_c(make_program(dense_network(0, 7, 5), "net"), tmp_path)
    tables = re.findall(r"static const (\w+) (NAS_ALIGNED\(4\) )?(\w+)\[\]", (tmp_path / "net.c").read_text())
    assert {name for _, _, name in tables} > {"layer_00_fully_connected_weights"}
    assert all(bool(aligned) == (kind == "int8_t") for kind, aligned, _ in tables)
    assert {kind for kind, _, _ in tables} == {"int8_t", "int32_t"}


ARCHITECTURE = Architecture(
    "made",
    "ic",
    (10, 8, 3),
    4,
    (
        Block("stem", "conv", 8, (3, 3), (1, 1)),
        Block("ds", "ds", 12, (3, 3), (2, 2)),
        Block("low", "residual", 16, (3, 3), (1, 1), 8, residual=True),
    ),
    "pool_dense",
)


def test_random_networks_use_their_grids_like_trained_ones() -> None:
    """Evenly distributed inputs and weights give every layer outputs that spread, of which few are clamped."""
    graph, source = ARCHITECTURE.graph, synthetic_source(ARCHITECTURE.graph, 1)
    weights, grids = {}, {0: source.grid(0)}
    for op, lowered in zip(graph.ops, source.model.ops, strict=True):
        grids[op.output] = source.grid(lowered.outputs[0])
        if op.weight_count:
            values, biases = (
                np.frombuffer(source.data[tensor], kind)
                for tensor, kind in zip(lowered.inputs[1:3], ("int8", "<i4"), strict=True)
            )
            scales = source.grid(lowered.inputs[1]).scales
            weights[op.name] = Int8Weights(values.reshape(op.weight_shape), biases, scales.astype(float))
            assert values.min() < -120
            assert values.max() > 120
            assert len(np.unique(scales)) == len(scales)
            assert np.abs(biases).max() <= 127
    model = Int8Model(
        graph, tuple(Grid(grids[i].scale, grids[i].zero_point) for i in range(len(graph.shapes))), weights
    )
    inputs = np.random.default_rng(0).integers(QMIN, QMAX + 1, (8, *graph.shapes[0])).astype(np.int8)
    assert float(inputs.std()) == pytest.approx(DEVIATION, abs=2)
    for op, values in zip(graph.ops, run_int8(model, inputs)[1:], strict=True):
        if op.weight_count:
            assert values.std() > 8, op.name
            assert np.mean((values == QMAX) | (values == (QMAX if op.relu else QMIN))) < 0.2, op.name


def test_random_networks_are_the_same_each_time() -> None:
    first, second, other = (synthetic_source(ARCHITECTURE.graph, seed) for seed in (1, 1, 2))
    assert first.data == second.data
    assert first.data != other.data
    padded = next(op for op in first.model.ops if op.kind == "PAD")
    assert_array_equal(first.values(padded.inputs[1], "<i4", (4, 2)), [[0, 0], [0, 0], [0, 0], [0, 4]])
