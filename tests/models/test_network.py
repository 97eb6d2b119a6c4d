from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor, nn

from nas.models.network import Convolution, Network, build_network, convolve, weights_file
from nas.space import Architecture, Block, Graph, OpKind, load_space
from nas.space.graph import GraphBuilder

POINTS = [
    *(pytest.param(load_space("kws_ds_cnn").points["mlperf-ds-cnn"], id="mlperf-ds-cnn"),),
    pytest.param(load_space("kws_micronet").points["micronet-kws-s"], id="micronet-kws-s"),
    pytest.param(load_space("kws_micronet").smallest(), id="smallest"),
    pytest.param(load_space("kws_ds_cnn").sample(random.Random(0)), id="random"),
    pytest.param(load_space("ic_resnet").points["mlperf-resnet8"], id="mlperf-resnet8"),
    pytest.param(load_space("vww_micronet_50").sample(random.Random(0)), id="random-vww"),
    pytest.param(load_space("kws_broadcast").sample(random.Random(0)), id="random-broadcast"),
    pytest.param(load_space("ad_autoencoder").points["mlperf-fc-autoencoder"], id="mlperf-fc-autoencoder"),
]
every_point = pytest.mark.parametrize("architecture", POINTS)


def channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[2], shape[0], shape[1]) if len(shape) == 3 else shape


def examples(graph: Graph, count: int = 2) -> Tensor:
    return torch.randn(count, *channels_first(graph.shapes[0]), generator=torch.Generator().manual_seed(0))


@every_point
def test_every_layer_gives_the_shape_of_the_graph(architecture: Architecture) -> None:
    graph, found = architecture.graph, {}
    network = build_network(graph, seed=0)
    for name, layer in network.layers.items():
        layer.register_forward_hook(lambda layer, inputs, output, name=name: found.update({name: output.shape[1:]}))
    network(examples(graph))
    assert list(found) == [op.name.replace(".", "_") for op in graph.ops]
    assert [tuple(shape) for shape in found.values()] == [channels_first(graph.shapes[op.output]) for op in graph.ops]


@every_point
def test_parameters_are_those_of_the_graph(architecture: Architecture) -> None:
    """A bias before a batch norm is its shift; the norm's scale is folded into the weights on export."""
    graph = architecture.graph
    folded = sum(op.bias_count for op in graph.ops if op.relu or op.kind is not OpKind.FULLY_CONNECTED)
    assert sum(p.numel() for p in build_network(graph, seed=0).parameters()) == graph.parameters + folded


@pytest.mark.parametrize("architecture", [point for point in POINTS if point.id != "mlperf-fc-autoencoder"])
def test_the_output_is_the_softmax_of_the_logits(architecture: Architecture) -> None:
    network, inputs = build_network(architecture.graph, seed=0).eval(), examples(architecture.graph)
    with torch.no_grad():
        probabilities = network(inputs)
        assert torch.allclose(probabilities, network.logits(inputs).softmax(dim=-1))
    assert torch.allclose(probabilities.sum(dim=-1), torch.ones(2))


@every_point
def test_a_trace_is_what_each_layer_gives(architecture: Architecture) -> None:
    """In the network, and alone with the same inputs; other inputs change the layers that read them, no others."""
    graph = architecture.graph
    network, inputs = build_network(graph, seed=0).eval(), examples(graph)
    with torch.no_grad():
        traced = network.trace(inputs)
        assert [tuple(each.shape[1:]) for each in traced] == [channels_first(shape) for shape in graph.shapes]
        assert torch.equal(traced[-1], network(inputs))
        assert all(torch.equal(a, b) for a, b in zip(network.alone(traced), traced, strict=True))
        others = [torch.zeros_like(each) if tensor == 1 else each for tensor, each in enumerate(traced)]
        alone = network.alone(others)
    changed = {tensor for tensor in range(len(traced)) if not torch.equal(alone[tensor], traced[tensor])}
    assert changed <= {op.output for op in graph.ops if 1 in op.inputs}
    assert changed


def weights(network: Network) -> Tensor:
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


def test_the_seed_decides_the_weights() -> None:
    graph = load_space("kws_ds_cnn").points["mlperf-ds-cnn"].graph
    assert torch.equal(weights(build_network(graph, 3)), weights(build_network(graph, 3)))
    assert not torch.equal(weights(build_network(graph, 3)), weights(build_network(graph, 4)))


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_network(load_space("kws_ds_cnn").smallest().graph, seed=1)
    assert torch.equal(torch.rand(3), expected)


def convolution(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], depthwise: bool
) -> tuple[Graph, Convolution]:
    """A single layer over (h, w, 3), its batch norm still the identity."""
    builder = GraphBuilder((*size, 3))
    if depthwise:
        builder.depthwise(0, "layer", kernel, stride)
    else:
        builder.conv(0, "layer", 4, kernel, stride)
    layer = build_network(builder.build(), seed=0).layers["layer"].eval()
    assert isinstance(layer, Convolution)
    return builder.build(), layer


def reference(x: np.ndarray, weight: np.ndarray, stride: tuple[int, int], depthwise: bool) -> np.ndarray:
    """Convolution with TensorFlow's SAME padding, by its definition, one output value at a time.

    x (h, w, c_in), weight (c_out, c_in or 1, kh, kw). Source: TensorFlow, "Notes on padding combination of operators".
    """
    height, width, _ = x.shape
    out = np.zeros((-(-height // stride[0]), -(-width // stride[1]), len(weight)))
    needed = [(n - 1) * s + k for n, s, k in zip(out.shape, stride, weight.shape[2:], strict=False)]
    top, left = (max(need - have, 0) // 2 for need, have in zip(needed, x.shape, strict=False))
    for row, column, channel in np.ndindex(*out.shape):
        for i, j in np.ndindex(*weight.shape[2:]):
            y, z = row * stride[0] + i - top, column * stride[1] + j - left
            if 0 <= y < height and 0 <= z < width:
                seen = x[y, z, [channel]] if depthwise else x[y, z]
                out[row, column, channel] += seen @ weight[channel, :, i, j]
    return out


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.booleans(),
)
def test_convolutions_pad_as_tensorflow_does(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], depthwise: bool
) -> None:
    graph, layer = convolution(size, kernel, stride, depthwise)
    x = examples(graph, count=1)
    with torch.no_grad():
        found = layer(x)[0].permute(1, 2, 0).numpy()
    scale = 1 / np.sqrt(1 + layer.norm.eps)  # of a batch norm that has seen nothing
    weight = layer.conv.weight.detach().numpy()
    expected = np.maximum(reference(x[0].permute(1, 2, 0).numpy(), weight, stride, depthwise) * scale, 0)
    assert found.shape == graph.shapes[1]
    assert np.allclose(found, expected, atol=1e-4)


def test_no_layer_pads_where_the_convolution_can(checkout: Path) -> None:
    """A symmetric padding belongs to the convolution itself; an explicit one costs a copy."""
    symmetric = convolution((8, 8), (3, 3), (1, 1), depthwise=True)[1]
    odd = convolution((8, 8), (3, 3), (2, 2), depthwise=True)[1]
    assert (symmetric.pad, symmetric.conv.padding) == (None, (1, 1))
    assert (odd.pad, odd.conv.padding) == ((0, 1, 0, 1), (0, 0))


@pytest.mark.parametrize("name", ["kws_ds_cnn:mlperf-ds-cnn", "ic_resnet:mlperf-resnet8"])
def test_a_network_learns_by_every_weight(name: str) -> None:
    """No parameter is left out of the output."""
    space, _, point = name.partition(":")
    graph = load_space(space).points[point].graph
    network = build_network(graph, seed=0)
    nn.functional.cross_entropy(network.logits(examples(graph, 8)), torch.arange(8)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_dense_layer_starts_as_what_reads_it_expects() -> None:
    """He's deviation before a ReLU (He et al., 2015), so that signals keep their strength; torch's own elsewhere."""
    graph = load_space("ad_autoencoder").points["mlperf-fc-autoencoder"].graph
    layers = build_network(graph, seed=0).layers.values()
    for op, layer in zip(graph.ops, layers, strict=True):
        width, inputs = op.weight_shape
        expected = np.sqrt((2 if op.relu else 1 / 3) / inputs)
        assert float(layer.linear.weight.detach().std()) == pytest.approx(expected, rel=8 / np.sqrt(2 * width * inputs))


@pytest.mark.parametrize(
    ("inputs", "kernel", "stride", "learns", "left"),
    [
        (4, (1, 1), (2, 2), True, (1, 1)),
        (4, (1, 1), (1, 2), True, (1, 1)),
        (15, (1, 1), (2, 1), True, (1, 1)),
        (16, (1, 1), (2, 2), True, (2, 2)),
        (4, (1, 1), (2, 2), False, (2, 2)),
        (4, (1, 2), (2, 2), True, (2, 2)),
        (4, (2, 1), (2, 2), True, (2, 2)),
    ],
)
def test_onednn_never_learns_a_narrow_strided_shortcut(
    inputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    learns: bool,
    left: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its gradient there is wrong without AVX-512 (oneDNN issue 6035). The sums stay those of the strided one."""
    convolution, strides = nn.functional.conv2d, []

    def seen(
        x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, int], *other: Any, **more: Any
    ) -> Tensor:
        strides.append(stride)
        return convolution(x, weight, bias, stride, *other, **more)

    x = torch.randn(2, inputs, 7, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.randn(3, inputs, *kernel, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    monkeypatch.setattr(nn.functional, "conv2d", seen)
    with torch.set_grad_enabled(learns):
        found = convolve(x, weight, None, stride, 0, 1)
    assert strides == [left]
    assert torch.allclose(found, convolution(x, weight, None, stride))


def block_network(block: Block, channels: int) -> tuple[Network, Tensor]:
    """A network of one block on random maps, its batch statistics moved by them; (n, c, h, w)."""
    graph = Architecture("made", "kws", (7, 5, channels), 3, (block,), "pool_dense").graph
    network, inputs = build_network(graph, seed=0), examples(graph, 4)
    with torch.no_grad():
        network(inputs)
    return network.eval(), inputs


def normalised(layer: nn.Module, x: Tensor) -> Tensor:
    """A convolution without its ReLU."""
    out: Tensor = layer.norm(layer.conv(x))
    return out


def head(network: Network, x: Tensor) -> Tensor:
    scores: Tensor = network.layers["dense"].linear(x.mean(dim=(2, 3)))
    return scores.softmax(dim=-1)


@pytest.mark.parametrize("width", [4, 6, 9])
def test_an_inverted_bottleneck_adds_its_padded_input(width: int) -> None:
    """The narrower of the two gets channels of zeros behind its own; nothing is cut off after the sum."""
    network, x = block_network(Block("b", "ibn", width, (3, 3), (1, 1), 10, True), channels=6)
    layers = network.layers
    y = normalised(layers["b_1_expand"], x).relu()
    y = normalised(layers["b_1_depthwise"], y).relu()
    y = normalised(layers["b_1_project"], y)
    total = torch.zeros(len(x), max(width, 6), 7, 5)
    total[:, :6] += x
    total[:, :width] += y
    assert (total < 0).any()
    with torch.no_grad():
        assert torch.allclose(network(x), head(network, total), atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_residual_block_adds_its_input_before_the_relu(stride: int) -> None:
    network, x = block_network(Block("r", "residual", 8, (3, 3), (stride, stride), 5, True), channels=6)
    layers = network.layers
    y = normalised(layers["r_1_second"], normalised(layers["r_1_first"], x).relu())
    shortcut = nn.functional.pad(x, (0, 0, 0, 0, 0, 2)) if stride == 1 else normalised(layers["r_1_shortcut"], x)
    with torch.no_grad():
        assert torch.allclose(network(x), head(network, (shortcut + y).relu()), atol=1e-6)


def test_an_activation_that_is_read_twice_is_kept_until_then() -> None:
    """And no longer: the network holds no more maps at once than the planner thinks."""
    graph = load_space("ic_resnet").points["mlperf-resnet8"].graph
    network = build_network(graph, seed=0).eval()
    with torch.no_grad():
        assert torch.equal(network(examples(graph)), network(examples(graph)))
    last_use = {tensor: number for number, op in enumerate(graph.ops) for tensor in op.inputs}
    assert network._last_use == last_use


WRITE = """
import hashlib
from nas.models.network import build_network, weights_file
from nas.space import load_space
network = build_network(load_space("kws_micronet").smallest().graph, 0)
print(hashlib.sha256(weights_file(network, {f"grid.{i}": str(i) for i in range(20)})).hexdigest())
"""


@pytest.mark.slow
def test_a_file_of_weights_has_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    """The library orders its notes by chance, anew in every process."""
    words = [sys.executable, "-c", WRITE]
    assert len({subprocess.run(words, capture_output=True, text=True, check=True).stdout for _ in range(3)}) == 1
    network, notes = build_network(load_space("kws_micronet").smallest().graph, 0), {"b": "1", "a": "2"}
    (tmp_path / "weights.safetensors").write_bytes(weights_file(network, notes))
    with safe_open(tmp_path / "weights.safetensors", "pt") as file:
        assert file.metadata() == notes
        assert {name: file.get_tensor(name).tolist() for name in file.keys()} == {  # noqa: SIM118  not a mapping
            name: tensor.tolist() for name, tensor in network.state_dict().items()
        }


@pytest.mark.parametrize("length", range(9))
def test_tensors_of_a_file_of_weights_begin_at_a_word(length: int) -> None:
    """Readers map the file into memory, so the header is filled up with spaces (safetensors: "Format")."""
    network, notes = build_network(load_space("kws_micronet").smallest().graph, 0), {"note": "x" * length}
    file = weights_file(network, notes)
    assert int.from_bytes(file[:8], "little") % 8 == 0
    assert {name: value.tolist() for name, value in load(file).items()} == {
        name: value.tolist() for name, value in network.state_dict().items()
    }


GRADIENTS_OF_SHORTCUTS = """
import torch
from nas.models.network import build_network
from nas.space import Architecture, Block

block = Block("blocks", "residual", 8, (3, 3), (2, 2), 5, residual=True)
network = build_network(Architecture("toy", "ic", (32, 32, 4), 3, (block,), "pool_dense").graph, seed=0).train()
x = torch.randn(32, 4, 32, 32, generator=torch.Generator().manual_seed(0))


def gradients(network, x):
    network.zero_grad()
    network.logits(x).square().sum().backward()
    return [each.grad.clone() for each in network.parameters()]


network.to(memory_format=torch.channels_last)
found = gradients(network, x.contiguous(memory_format=torch.channels_last))
for one, exact in zip(found, gradients(network.double(), x.double()), strict=True):
    torch.testing.assert_close(one.double(), exact, rtol=1e-3, atol=1e-3 * float(exact.abs().max()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_of_strided_shortcuts_are_right_without_avx_512(threads: int) -> None:
    """oneDNN crashes with one thread and hangs with two where a strided 1x1 convolution is left to it."""
    limited = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": str(threads)}
    subprocess.run([sys.executable, "-c", GRADIENTS_OF_SHORTCUTS], env=limited, check=True, timeout=120)
