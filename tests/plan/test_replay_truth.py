"""Plans that the replay calls safe compute the right bits in TensorFlow Lite Micro itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_networks import make

from nas.export.flatbuffer import load
from nas.export.model_reader import read_model
from nas.export.offline_plan import with_offline_plan
from nas.harness.identity import run_tflm
from nas.model_file import ModelFile, tensor_bytes
from nas.plan.placement import Kernels, Placement
from nas.plan.replay import verify

DECIDED_BY_TFLM = -1  # in an offline plan
TRIALS = 8
SAMPLES = 2


def convolution(m: Any, x: int, rng: np.random.Generator, kind: str = "CONV_2D", groups: int = 1) -> int:
    """Random sizes; weights that spread the outputs over their range."""
    height, width, depth = m.graph.tensors[x].shape[1:]
    kernel, stride, far = rng.integers(1, 4, 2), int(rng.integers(1, 3)), int(rng.integers(1, 3))
    far = far if stride == 1 else 1
    if kind == "CONV_2D":
        channels = groups * int(rng.integers(1, 7))
        shape, table, fields = (channels, *kernel, depth // groups), "Conv2DOptions", {}
    else:
        fields = {"depthMultiplier": int(rng.integers(1, 4))}
        channels = depth * fields["depthMultiplier"]
        shape, table = (1, *kernel, channels), "DepthwiseConv2DOptions"
    spread = 1 / (80 * np.sqrt(np.prod(shape) / channels))
    weights = m.tensor(shape, data=rng.integers(-127, 128, shape), scales=[spread] * channels)
    m.graph.tensors[weights].quantization.quantizedDimension = 0 if kind == "CONV_2D" else 3
    bias = m.tensor((channels,), "int32", 0, [spread / 2] * channels)
    padding = int(rng.integers(2))
    reach = [(int(k) - 1) * far + 1 for k in kernel]
    sizes = zip((height, width), reach, strict=True)
    out = [(size - k) // stride + 1 if padding else -(-size // stride) for size, k in sizes]
    strides = {"padding": padding, "strideH": stride, "strideW": stride, "dilationHFactor": far, "dilationWFactor": far}
    return m.op(kind, (x, weights, bias), m.tensor((1, *out, channels)), table, **strides, **fields)


def depthwise(m: Any, x: int, rng: np.random.Generator) -> int:
    return convolution(m, x, rng, "DEPTHWISE_CONV_2D")


def grouped(m: Any, x: int, rng: np.random.Generator) -> int:
    return convolution(m, x, rng, groups=2)


def pooling(m: Any, x: int, rng: np.random.Generator) -> int:
    height, width, depth = m.graph.tensors[x].shape[1:]
    kind, kernel = rng.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"]), rng.integers(1, 4, 2)
    stride = int(rng.integers(1, 3))
    fields = {"padding": 0, "strideH": stride, "strideW": stride}
    size = {"filterHeight": int(kernel[0]), "filterWidth": int(kernel[1])}
    y = m.tensor((1, -(-height // stride), -(-width // stride), depth))
    return m.op(str(kind), (x,), y, "Pool2DOptions", **fields, **size)


def addition(m: Any, x: int, rng: np.random.Generator) -> int:
    shape = m.graph.tensors[x].shape
    other = m.tensor(shape if rng.integers(2) else (1, 1, 1, shape[3]))
    return m.op(str(rng.choice(["ADD", "SUB", "MUL"])), (x, other), m.tensor(shape))


def relu(m: Any, x: int, rng: np.random.Generator) -> int:
    return m.same(str(rng.choice(["RELU", "RELU6", "HARD_SWISH"])), x)


def quantisation(m: Any, x: int, rng: np.random.Generator) -> int:
    y = m.op("DEQUANTIZE", (x,), m.tensor(m.graph.tensors[x].shape, "float32"))
    return m.op("QUANTIZE", (y,), m.tensor(m.graph.tensors[x].shape, scales=[0.4]))


def padding(m: Any, x: int, rng: np.random.Generator) -> int:
    shape = np.array(m.graph.tensors[x].shape)
    margin = np.vstack([[0, 0], rng.integers(0, 3, (3, 2))])
    return m.op("PAD", (x, m.constant(margin)), m.tensor(shape + margin.sum(axis=1)), "PadOptions")


def concatenation(m: Any, x: int, rng: np.random.Generator) -> int:
    shape, axis = list(m.graph.tensors[x].shape), int(rng.integers(1, 4))
    other, result = list(shape), list(shape)
    other[axis] = int(rng.integers(1, 5))
    result[axis] += other[axis]
    return m.op("CONCATENATION", (x, m.tensor(other)), m.tensor(result), "ConcatenationOptions", axis=axis)


def reshape(m: Any, x: int, rng: np.random.Generator) -> int:
    shape = [1, int(np.prod(m.graph.tensors[x].shape))]
    return m.op("RESHAPE", (x, m.constant(shape)), m.tensor(shape), "ReshapeOptions", newShape=shape)


def mean(m: Any, x: int, rng: np.random.Generator) -> int:
    y = m.tensor((1, m.graph.tensors[x].shape[3]), scales=[0.1])
    return m.op("MEAN", (x, m.constant([1, 2])), y, "ReducerOptions")


def dense(m: Any, x: int, rng: np.random.Generator) -> int:
    y = reshape(m, x, rng)
    size, count = m.graph.tensors[y].shape[1], int(rng.integers(1, 9))
    spread = 1 / (80 * np.sqrt(size))
    weights = m.tensor((count, size), data=rng.integers(-127, 128, (count, size)), scales=[spread])
    bias = m.tensor((count,), "int32", 0, [spread / 2])
    y = m.op("FULLY_CONNECTED", (y, weights, bias), m.tensor((1, count)), "FullyConnectedOptions")
    return m.same("SOFTMAX", y, table="SoftmaxOptions", beta=1.0)


LAYERS = [
    convolution, depthwise, grouped, pooling, addition, relu, quantisation, padding, concatenation, reshape, mean,
    dense,
]  # fmt: skip
TWICE = (convolution, depthwise, grouped, pooling, addition, relu, padding, concatenation)


def network(first: Any, rng: np.random.Generator) -> bytes:
    """A layer, half of the time behind another one."""
    m = make.Model()
    image = x = m.tensor((1, *rng.integers(6, 10, 2), 2 * int(rng.integers(1, 5))))
    if rng.integers(2):
        x = TWICE[rng.integers(len(TWICE))](m, x, rng)
        first = first if first is not grouped or m.graph.tensors[x].shape[3] % 2 == 0 else convolution
    x = first(m, x, rng)
    written = {tensor for operator in m.graph.operators for tensor in operator.outputs}
    read = {tensor for operator in m.graph.operators for tensor in operator.inputs}
    others = [t for t in sorted(read - written - {image}) if not m.graph.tensors[t].buffer]
    return bytes(m.pack([image, *others], [x]))


def random_plan(content: bytes, rng: np.random.Generator) -> list[int]:
    """Inputs apart, each other activation near an earlier one, at any byte where its values may lie."""
    model, offsets, top = read_model(content), [], 1_000
    for index, tensor in enumerate(model.tensors):
        if tensor.data_bytes:
            offsets.append(DECIDED_BY_TFLM)
            continue
        size, step = tensor_bytes(tensor), 4 if tensor.dtype == "float32" else 1
        if index in model.inputs:
            offsets.append(top)
            top += size
        else:
            near = rng.choice([offset for offset in offsets if offset != DECIDED_BY_TFLM])
            far = rng.choice([0, 12, size, 2 * size])
            offsets.append(max(0, int(near + rng.integers(-far, far + 1))) // step * step)
    return offsets


def outcomes(layer: Any, seed: int) -> list[tuple[bool, bool]]:
    """For some random plans: whether the replay calls it safe, and whether all outputs are right."""
    rng = np.random.default_rng(seed)
    content = network(layer, rng)
    return judge(content, [random_plan(content, rng) for _ in range(TRIALS)], rng)


def judge(content: bytes, plans: list[list[int]], rng: np.random.Generator) -> list[tuple[bool, bool]]:
    model, inputs = read_model(content), load(content).subgraphs[0].inputs
    shapes = [model.tensors[index].shape for index in inputs]
    samples = [[rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes] for _ in range(SAMPLES)]
    expected, results = run_tflm(content, samples), []
    for offsets in plans:
        is_safe = verify(model, placements(model, offsets), Kernels.REFERENCE) is None
        results.append((is_safe, run_tflm(with_offline_plan(content, offsets), samples) == expected))
    return results


def placements(model: ModelFile, offsets: list[int]) -> list[Placement]:
    sizes = [tensor_bytes(entry) for entry in model.tensors]
    return [Placement(index, "", at, sizes[index], 0, 0) for index, at in enumerate(offsets) if at != DECIDED_BY_TFLM]


def at_distance(content: bytes, distance: int) -> list[int]:
    """The output of the one operator begins some bytes before its input."""
    graph = load(content).subgraphs[0]
    places = {graph.inputs[0]: 4_000, graph.outputs[0]: 4_000 - distance}
    return [places.get(index, DECIDED_BY_TFLM) for index in range(len(graph.tensors))]


def tight_distance(content: bytes) -> int:
    model = read_model(content)
    size, distance = tensor_bytes(model.tensors[model.outputs[0]]), 0
    while verify(model, placements(model, at_distance(content, distance)), Kernels.REFERENCE):
        distance += 1
    assert distance <= size
    return distance


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_what_the_replay_calls_safe_is_right_in_tflm(layer: Any) -> None:
    results = [result for seed in range(4) for result in outcomes(layer, seed)]
    assert (True, False) not in results
    assert (True, True) in results
    assert (False, False) in results  # the plans are bold enough to tell


@pytest.mark.parametrize("layer", [convolution, depthwise, grouped], ids=lambda layer: layer.__name__)
def test_a_byte_less_than_the_tight_distance_is_wrong_in_tflm(layer: Any) -> None:
    wrong = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        m = make.Model()
        image = m.tensor((1, 6, 7, 4))
        content = bytes(m.pack([image], [layer(m, image, rng)]))
        distance = tight_distance(content)
        plans = [at_distance(content, by) for by in (distance, distance - 1)][: 1 + (distance > 0)]
        (is_safe, is_right), *less = judge(content, plans, rng)
        assert is_safe
        assert is_right
        wrong += [not right for _, right in less]
    assert sum(wrong) > len(wrong) / 2 > 1
