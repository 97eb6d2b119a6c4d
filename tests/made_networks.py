"""Small INT8 networks of random layers, sizes and grids, whose outputs spread; every test folder can import this."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

from nas.export.c.program import Program
from nas.export.c.source import Layer
from nas.export.flatbuffer import load

MAKE = Path(__file__).parent / "data" / "models" / "make.py"
RELU, RELU6 = 1, 3  # schema.fbs: ActivationFunctionType
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 12, 13, 16, 20)
DEVIATION = 74  # of evenly distributed int8 values


def _load_make() -> Any:
    """The builder of the made models."""
    spec = importlib.util.spec_from_file_location("made_models", MAKE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _load_make()


def random_network(seed: int, layers: int = 6) -> bytes:
    """A chain of ``layers`` layers on a small map, then pooling, a dense layer and a softmax."""
    rng, m = np.random.default_rng(seed), make.Model()
    shape = (1, int(rng.integers(4, 14)), int(rng.integers(3, 12)), int(rng.choice(CHANNELS)))
    x = image = m.tensor(shape, zero_point=int(rng.integers(-128, 128)), scales=[0.5])
    for _ in range(layers):
        x = rng.choice(np.array(LAYERS, object))(m, x, rng)
    shape = m.graph.tensors[x].shape
    whole = {"padding": 1, "strideH": 1, "strideW": 1, "filterHeight": shape[1], "filterWidth": shape[2]}
    x = m.op("AVERAGE_POOL_2D", (x,), _like(m, x, (1, 1, 1, shape[3])), "Pool2DOptions", **whole)
    flat = [1, shape[3]]
    x = m.op("RESHAPE", (x, m.constant(flat)), _like(m, x, flat), "ReshapeOptions", newShape=flat)
    x = _dense(m, x, rng, int(rng.integers(2, 14)))
    return bytes(m.pack([image], [m.same("SOFTMAX", x, table="SoftmaxOptions", beta=1.0)]))


def dense_network(seed: int, inputs: int, outputs: int) -> bytes:
    """One fully connected layer."""
    rng, m = np.random.default_rng(seed), make.Model()
    x = m.tensor((1, inputs), zero_point=int(rng.integers(-128, 128)), scales=[0.1])
    return bytes(m.pack([x], [_dense(m, x, rng, outputs)]))


def with_other_grids(model: bytes, seed: int) -> bytes:
    """One or two tensors, weights among them, have a zero point or scales that no converter would give them."""
    rng, tree = np.random.default_rng(seed), load(model)
    grids = [tensor.quantization for tensor in tree.subgraphs[0].tensors if tensor.quantization is not None]
    grids = [grid for grid in grids if grid.scale is not None and len(grid.scale)]
    for grid in rng.choice(np.array(grids, object), rng.integers(1, 3)):
        if rng.integers(2):
            grid.zeroPoint = np.full(len(grid.zeroPoint), rng.integers(-128, 128), np.int64)
        else:
            grid.scale = (grid.scale * np.float32(2.0 ** rng.integers(-3, 4))).astype(np.float32)
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def padded_between_grids() -> bytes:
    """PAD from one grid to another: TFLM copies the values, and pads with the zero of the output."""
    m = make.Model()
    x = m.tensor((1, 3, 4, 2), scales=[0.5], zero_point=-7)
    y = m.tensor((1, 5, 4, 3), scales=[0.5], zero_point=20)
    return bytes(m.pack([x], [m.op("PAD", (x, m.constant([[0, 0], [1, 1], [0, 0], [0, 1]])), y, "PadOptions")]))


def sum_with_constant() -> bytes:
    """ADD of a map and a constant of its shape."""
    m = make.Model()
    x = m.tensor((1, 3, 4, 2), scales=[0.5])
    other = m.tensor((1, 3, 4, 2), data=3, scales=[0.5])
    y = m.tensor((1, 3, 4, 2), scales=[0.8])
    return bytes(m.pack([x], [m.op("ADD", (x, other), y, "AddOptions")]))


def softmax_network(classes: int, scale: float = 0.1) -> bytes:
    """One softmax, of scores on a grid of that scale."""
    m = make.Model()
    x = m.tensor((1, classes), scales=[scale])
    y = m.tensor((1, classes), scales=[1 / 256], zero_point=-128)
    return bytes(m.pack([x], [m.op("SOFTMAX", (x,), y, "SoftmaxOptions", beta=1.0)]))


def with_unsafe_plan(program: Program, layer: Layer) -> Program:
    """The output of one layer lies 16 bytes nearer to what the layer still reads than its kernel allows."""
    places = tuple(
        replace(place, offset=place.offset + 16) if place.tensor == layer.output else place
        for place in program.placements
    )
    return replace(program, placements=places, arena_bytes=program.arena_bytes + 16)


def _grid(m: Any, x: int) -> tuple[float, int]:
    quantization = m.graph.tensors[x].quantization
    return float(quantization.scale[0]), int(quantization.zeroPoint[0])


def _like(m: Any, x: int, shape: Any) -> int:
    """A tensor on the grid of another."""
    scale, zero = _grid(m, x)
    return int(m.tensor(shape, zero_point=zero, scales=[scale]))


def _weighted(
    m: Any, x: int, rng: np.random.Generator, shape: tuple[int, ...], axis: int, out: tuple[int, ...], per_channel: bool
) -> tuple[tuple[int, int, int], int]:
    """Inputs and output of a layer with weights (``axis``: output channels) -> its inputs, its output."""
    channels, terms = shape[axis], int(np.prod(shape)) // shape[axis]
    scale = _grid(m, x)[0]
    unit = 1 / (DEVIATION * np.sqrt(terms))  # of weights with which outputs deviate as inputs do
    scales = rng.uniform(0.2 * unit, unit, channels if per_channel else 1).astype(np.float32)
    weights = m.tensor(shape, data=rng.integers(-127, 128, shape), scales=scales)
    m.graph.tensors[weights].quantization.quantizedDimension = axis
    bias = m.tensor((channels,), "int32", rng.integers(-3000, 3000, channels), scale * scales)
    y = m.tensor(out, scales=[scale * rng.uniform(0.8, 1.5)], zero_point=int(rng.integers(-128, 128)))
    return (x, weights, bias), int(y)


def _window(
    rng: np.random.Generator, size: tuple[int, ...], dilated: bool
) -> tuple[list[int], tuple[int, ...], dict[str, int]]:
    """Kernel, size of the output, options."""
    kernel = [int(k) for k in rng.integers(1, 6, 2)]
    stride = [int(s) for s in rng.integers(1, 3, 2)]
    far = [int(d) for d in rng.integers(1, 3, 2)] if dilated and stride == [1, 1] else [1, 1]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, far, strict=True)]
    padding = int(rng.integers(2)) if all(r <= s for r, s in zip(reach, size, strict=True)) else 0
    out = tuple(
        (s - r) // step + 1 if padding else -(-s // step) for s, r, step in zip(size, reach, stride, strict=True)
    )
    options = {"padding": padding, "strideH": stride[0], "strideW": stride[1]}
    return kernel, out, options | ({"dilationHFactor": far[0], "dilationWFactor": far[1]} if dilated else {})


def _activation(rng: np.random.Generator) -> int:
    return int(rng.choice((0, RELU, RELU6)))


def _convolution(m: Any, x: int, rng: np.random.Generator) -> int:
    _, *size, depth = m.graph.tensors[x].shape
    kernel, out, options = _window(rng, tuple(size), dilated=True)
    if rng.integers(2):  # most convolutions of real networks
        kernel, out, options = [1, 1], tuple(size), {**options, "padding": 0, "strideH": 1, "strideW": 1}
    channels = int(rng.choice(CHANNELS))
    inputs, y = _weighted(m, x, rng, (channels, *kernel, depth), 0, (1, *out, channels), per_channel=True)
    activation = _activation(rng)
    return int(m.op("CONV_2D", inputs, y, "Conv2DOptions", **options, fusedActivationFunction=activation))


def _depthwise(m: Any, x: int, rng: np.random.Generator) -> int:
    _, *size, depth = m.graph.tensors[x].shape
    kernel, out, options = _window(rng, tuple(size), dilated=True)
    inputs, y = _weighted(m, x, rng, (1, *kernel, depth), 3, (1, *out, depth), per_channel=True)
    fields = {**options, "depthMultiplier": 1, "fusedActivationFunction": _activation(rng)}
    return int(m.op("DEPTHWISE_CONV_2D", inputs, y, "DepthwiseConv2DOptions", **fields))


def _pooling(m: Any, x: int, rng: np.random.Generator) -> int:
    _, *size, depth = m.graph.tensors[x].shape
    kernel, out, options = _window(rng, tuple(size), dilated=False)
    fields = {**options, "filterHeight": kernel[0], "filterWidth": kernel[1]}
    kind = str(rng.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
    return int(m.op(kind, (x,), _like(m, x, (1, *out, depth)), "Pool2DOptions", **fields))


def _residual(m: Any, x: int, rng: np.random.Generator) -> int:
    """A depthwise convolution beside a shortcut."""
    _, *size, depth = m.graph.tensors[x].shape
    inputs, branch = _weighted(m, x, rng, (1, 3, 3, depth), 3, (1, *size, depth), per_channel=True)
    fields = {"padding": 0, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    m.op("DEPTHWISE_CONV_2D", inputs, branch, "DepthwiseConv2DOptions", **fields, depthMultiplier=1)
    scale = 1.5 * max(_grid(m, x)[0], _grid(m, branch)[0])
    y = m.tensor((1, *size, depth), scales=[scale], zero_point=int(rng.integers(-100, 100)))
    return int(m.op("ADD", (x, branch), y, "AddOptions", fusedActivationFunction=_activation(rng)))


def _gate(m: Any, x: int, rng: np.random.Generator) -> int:
    """Each channel times its own mean; or every value times a ReLU of it."""
    shape = m.graph.tensors[x].shape
    scale = _grid(m, x)[0]
    if rng.integers(2):
        grid = {"scales": [scale * rng.uniform(0.3, 1.2)], "zero_point": int(rng.integers(-128, 128))}
        other = m.tensor((1, 1, 1, shape[3]), **grid)
        m.op("MEAN", (x, m.constant([1, 2])), other, "ReducerOptions", keepDims=True)
    elif rng.integers(2):
        other = m.tensor(shape, scales=[scale * rng.uniform(0.5, 1.1)], zero_point=int(rng.integers(-128, 0)))
        m.op("RELU", (x,), other)
    else:
        other = _like(m, x, shape)
        m.op("RELU6", (x,), other)
    unit = DEVIATION * scale * rng.uniform(0.5, 2)
    y = m.tensor(shape, scales=[unit * _grid(m, other)[0]], zero_point=int(rng.integers(-100, 100)))
    operands = (x, other) if rng.integers(2) else (other, x)
    return int(m.op("MUL", operands, y, "MulOptions", fusedActivationFunction=_activation(rng)))


def _joined(m: Any, x: int, rng: np.random.Generator) -> int:
    """A map and its pooled neighbourhoods, and the map again, behind each other along some axis."""
    shape, axis = list(m.graph.tensors[x].shape), int(rng.integers(1, 4))
    window = {"padding": 0, "strideH": 1, "strideW": 1, "filterHeight": 3, "filterWidth": 2}
    pooled = m.op("MAX_POOL_2D", (x,), _like(m, x, shape), "Pool2DOptions", **window)
    parts = [x, pooled, x][: int(rng.integers(2, 4))]
    shape[axis] *= len(parts)
    return int(m.op("CONCATENATION", parts, _like(m, x, shape), "ConcatenationOptions", axis=axis - 4))


def _padding(m: Any, x: int, rng: np.random.Generator) -> int:
    margin = np.vstack([[0, 0], rng.integers(0, 3, (3, 2))])
    shape = np.array(m.graph.tensors[x].shape) + margin.sum(axis=1)
    return int(m.op("PAD", (x, m.constant(margin)), _like(m, x, shape.tolist()), "PadOptions"))


def _dense(m: Any, x: int, rng: np.random.Generator, outputs: int) -> int:
    shape = (outputs, m.graph.tensors[x].shape[1])
    inputs, y = _weighted(m, x, rng, shape, 0, (1, outputs), per_channel=bool(rng.integers(2)))
    return int(m.op("FULLY_CONNECTED", inputs, y, "FullyConnectedOptions"))


LAYERS: tuple[Callable[[Any, int, np.random.Generator], int], ...] = (
    *(_convolution, _convolution, _depthwise, _depthwise, _pooling, _residual, _padding, _gate, _joined),
)
