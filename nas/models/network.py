"""Graph -> ``nn.Module``: float training network whose operators map one to one onto the INT8 graph."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from nas.errors import RunFolderError
from nas.space.graph import Graph, Op, OpKind, same_padding

CHANNEL_BLOCK = 16  # channels that oneDNN's kernels for AVX-512 take at a time; those for AVX2 take 8


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: str | Sequence[int] | int,
    groups: int,
) -> Tensor:
    """Return ``F.conv2d`` of (n, c_in, h, w), and avoid a fault of oneDNN in the gradient of strided 1x1 weights.

    With fewer input channels than a block, channels last, oneDNN writes past its buffer. On processors without AVX-512
    training then crashes, hangs or computes wrong gradients (uxlfoundation/oneDNN issue 6035, torch 2.13). An
    unstrided convolution over the positions that the strided one reads gives the same sums. Files keep the stride.
    """
    pointwise = tuple(weight.shape[2:]) == (1, 1) and max(stride) > 1
    if pointwise and weight.shape[1] < CHANNEL_BLOCK and torch.is_grad_enabled() and not torch.compiler.is_exporting():
        x, stride = x[:, :, :: stride[0], :: stride[1]], (1, 1)
    return F.conv2d(x, weight, bias, tuple(stride), padding, groups=groups)


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU if the operator has one, over (n, c, h, w) with TF-SAME padding.

    The padding is explicit so that it exports as TFLite's SAME: no PAD operator remains.
    """

    def __init__(self, graph: Graph, op: Op) -> None:
        super().__init__()
        height, width, c_in = graph.shapes[op.inputs[0]]
        c_out = graph.shapes[op.output][-1]
        top, bottom = same_padding(height, op.kernel[0], op.stride[0])
        left, right = same_padding(width, op.kernel[1], op.stride[1])
        symmetric = top == bottom and left == right
        self.pad = None if symmetric else (left, right, top, bottom)
        self.conv = nn.Conv2d(
            c_in,
            c_out,
            op.kernel,
            op.stride,
            padding=(top, left) if symmetric else 0,
            groups=c_in if op.kind is OpKind.DEPTHWISE_CONV_2D else 1,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(c_out)
        self.relu = op.relu
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) -> (n, c_out, ceil(h/s), ceil(w/s))."""
        if self.pad is not None:
            x = F.pad(x, self.pad)
        conv = self.conv
        sums = convolve(x, conv.weight, None, conv.stride, conv.padding, conv.groups)
        out: Tensor = self.norm(sums)
        return F.relu(out, inplace=True) if self.relu else out  # 12 % of a step: batch norm does not need its output


class Add(nn.Module):
    """Sum of two maps, ReLU if the operator has one."""

    def __init__(self, graph: Graph, op: Op) -> None:
        super().__init__()
        self.relu = op.relu

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Twice (n, c, h, w) -> (n, c, h, w)."""
        return F.relu(x + y) if self.relu else x + y


class PadChannels(nn.Module):
    """Zeros behind the channels of a map."""

    def __init__(self, graph: Graph, op: Op) -> None:
        super().__init__()
        self.missing = graph.shapes[op.output][-1] - graph.shapes[op.inputs[0]][-1]

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) -> (n, c_out, h, w)."""
        return F.pad(x, (0, 0, 0, 0, 0, self.missing))


class Dense(nn.Module):
    """Dense layer over the flattened input, alone or with batch norm and ReLU: (n, ...) -> (n, width)."""

    def __init__(self, graph: Graph, op: Op) -> None:
        super().__init__()
        width, features = op.weight_shape
        self.linear = nn.Linear(features, width, bias=not op.relu)
        self.norm = nn.BatchNorm1d(width) if op.relu else None
        if op.relu:
            nn.init.kaiming_normal_(self.linear.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) -> (n, width)."""
        out: Tensor = self.linear(x.flatten(1))
        return out if self.norm is None else F.relu(self.norm(out), inplace=True)


MODULES: dict[OpKind, Callable[[Graph, Op], nn.Module]] = {
    OpKind.CONV_2D: Convolution,
    OpKind.DEPTHWISE_CONV_2D: Convolution,
    OpKind.AVERAGE_POOL_2D: lambda graph, op: nn.AvgPool2d(op.kernel, op.stride),
    OpKind.FULLY_CONNECTED: Dense,
    OpKind.SOFTMAX: lambda graph, op: nn.Softmax(dim=-1),
    OpKind.ADD: Add,
    OpKind.PAD: PadChannels,
}


class Network(nn.Module):
    """The network of a graph. ``forward`` gives what the device gives; ``logits`` stops before the softmax."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({op.name.replace(".", "_"): MODULES[op.kind](graph, op) for op in graph.ops})
        self._wiring = [(op.inputs, op.output) for op in graph.ops]
        self._last_use = {tensor: i for i, (inputs, _) in enumerate(self._wiring) for tensor in inputs}

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) float features -> (n, classes) probabilities, or the values of a linear head."""
        return self._run(x, softmax=True)

    def logits(self, x: Tensor) -> Tensor:
        """(n, c, h, w) float features -> (n, classes) scores for a loss, or the values of a linear head."""
        return self._run(x, softmax=False)

    def trace(self, x: Tensor) -> list[Tensor]:
        """(n, c, h, w) float features -> every tensor of the graph: the features, then what each layer gives."""
        values = [x]
        for layer, (inputs, _) in zip(self.layers.values(), self._wiring, strict=True):
            values.append(layer(*(values[tensor] for tensor in inputs)))
        return values

    def alone(self, values: Sequence[Tensor]) -> list[Tensor]:
        """As ``trace``, but each layer takes its inputs from ``values``, one for each tensor of the graph."""
        layers = zip(self.layers.values(), self._wiring, strict=True)
        return [values[0], *(layer(*(values[tensor] for tensor in inputs)) for layer, (inputs, _) in layers)]

    def _run(self, x: Tensor, softmax: bool) -> Tensor:
        values = {0: x}
        for i, (layer, (inputs, output)) in enumerate(zip(self.layers.values(), self._wiring, strict=True)):
            if softmax or not isinstance(layer, nn.Softmax):
                x = layer(*(values[tensor] for tensor in inputs))
            for tensor in inputs:
                if self._last_use[tensor] == i:
                    values.pop(tensor, None)  # frees the activation where no gradient needs it
            values[output] = x
        return x


def build_network(graph: Graph, seed: int) -> Network:
    """A fresh network; the same seed gives the same weights, and torch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(graph)


def weights_file(network: nn.Module, notes: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """A ``.safetensors`` file of a network's weights, the same bytes for the same weights and notes.

    The library writes notes in an order of chance; their place is in the header, which is JSON with its length before.
    """
    tensors = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    file: bytes = save(tensors, dict(notes))
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:start])
    header["__metadata__"] = dict(notes)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + file[start:]


def load_weights(network: nn.Module, path: Path) -> None:
    """Take the weights that a run kept.

    Raises:
        RunFolderError: the file is not there, damaged, or of another network.
    """
    with readable_weights(path):
        network.load_state_dict(load_file(path))


@contextmanager
def readable_weights(path: Path) -> Iterator[None]:
    """What is wrong with a file of weights, in the words of users.

    Raises:
        RunFolderError: in place of what reading it raises.
    """
    try:
        yield
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as cause:
        reason = " ".join(f"{type(cause).__name__}: {cause}".split())[:200]
        raise RunFolderError(f"{path}: no weights of this network ({reason}); train it again") from cause
