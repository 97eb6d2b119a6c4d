"""Model files made by hand as plain data, for tests that need no weights; every test folder can import this module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nas.model_file import FileOp, FileTensor, ModelFile

SAME, VALID = 0, 1  # schema.fbs: Padding
POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")


class Sketch:
    """Collects tensors and operators; every method returns the index of a tensor."""

    def __init__(self, dtype: str = "int8") -> None:
        self.dtype = dtype
        self.tensors: list[FileTensor] = []
        self.ops: list[FileOp] = []

    def tensor(self, *shape: int, dtype: str = "", data: int = 0, variable: bool = False) -> int:
        """Append an activation, or a constant of so many bytes."""
        self.tensors.append(FileTensor("", shape, dtype or self.dtype, data, variable=variable))
        return len(self.tensors) - 1

    def op(self, kind: str, inputs: Sequence[int], output: int, *, custom: bool = False, **options: Any) -> int:
        """Append an operator."""
        self.ops.append(FileOp(kind, tuple(inputs), (output,), options, custom))
        return output

    def same(self, kind: str, *inputs: int) -> int:
        """An operator whose output looks like its first input."""
        first = self.tensors[inputs[0]]
        return self.op(kind, inputs, self.tensor(*first.shape, dtype=first.dtype))

    def window(
        self,
        kind: str,
        x: int,
        channels: int = 0,
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (1, 1),
        *,
        padding: int = SAME,
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
    ) -> int:
        """A convolution, depthwise convolution or pooling; 0 channels: as many as the input has."""
        batch, height, width, depth = self.tensors[x].shape
        channels, dtype = channels or depth, self.tensors[x].dtype
        sizes = zip((height, width), kernel, stride, dilation, strict=True)
        rows, columns = (_out_size(*size, padding) for size in sizes)
        options: dict[str, Any] = {"padding": padding, "strideH": stride[0], "strideW": stride[1]}
        inputs = [x]
        if kind in POOLS:
            options |= {"filterHeight": kernel[0], "filterWidth": kernel[1]}
        else:
            options |= {"dilationHFactor": dilation[0], "dilationWFactor": dilation[1]}
            shape = (channels, *kernel, depth // groups) if kind == "CONV_2D" else (1, *kernel, channels)
            inputs.append(self.tensor(*shape, dtype=dtype, data=math.prod(shape)))
        return self.op(kind, inputs, self.tensor(batch, rows, columns, channels, dtype=dtype), **options)

    def dense(self, x: int, outputs: int) -> int:
        """A fully connected layer."""
        weights = self.tensor(outputs, math.prod(self.tensors[x].shape), data=1)
        return self.op("FULLY_CONNECTED", (x, weights), self.tensor(1, outputs))

    def mean(self, x: int) -> int:
        """The mean of each channel; its kernel asks for scratch buffers."""
        axes = self.tensor(2, dtype="int32", data=8)
        return self.op("MEAN", (x, axes), self.tensor(1, self.tensors[x].shape[-1]))

    def reshape(self, x: int, *shape: int) -> int:
        return self.op("RESHAPE", (x,), self.tensor(*shape, dtype=self.tensors[x].dtype))

    def pad(self, x: int, *more: int) -> int:
        """So many values more in each dimension."""
        shape = [size + extra for size, extra in zip(self.tensors[x].shape, more, strict=True)]
        margins = self.tensor(len(more), 2, dtype="int32", data=8 * len(more))
        return self.op("PAD", (x, margins), self.tensor(*shape, dtype=self.tensors[x].dtype))

    def concatenation(self, axis: int, *inputs: int) -> int:
        shape = list(self.tensors[inputs[0]].shape)
        shape[axis] = sum(self.tensors[x].shape[axis] for x in inputs)
        return self.op("CONCATENATION", inputs, self.tensor(*shape, dtype=self.tensors[inputs[0]].dtype), axis=axis)

    def file(self, inputs: Sequence[int], outputs: Sequence[int]) -> ModelFile:
        return ModelFile(tuple(self.tensors), tuple(self.ops), tuple(inputs), tuple(outputs), 0)


def _out_size(size: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    reach = (kernel - 1) * dilation + 1
    return (size - reach) // stride + 1 if padding == VALID else -(-size // stride)


def window_file(rng: np.random.Generator, kind: str, dtype: str = "int8", *, plain: bool = False) -> ModelFile:
    """One operator that slides a window over a map; its input is tensor 0, its output the last one.

    Plain: without dilation, groups, and several outputs of each channel.
    """
    sketch = Sketch(dtype)
    kernel, stride, dilation = (tuple(map(int, rng.integers(1, 4, 2))) for _ in range(3))
    stride = stride if rng.integers(2) else (1, 1)
    if plain or kind in POOLS or rng.integers(2):
        dilation = (1, 1)
    padding = int(rng.integers(2))
    reach = [(k - 1) * far * (padding == VALID) for k, far in zip(kernel, dilation, strict=True)]
    groups = int(rng.integers(1, 3)) if kind == "CONV_2D" and not plain else 1
    depth, channels = (groups * int(rng.integers(1, 21)) for _ in range(2))
    if kind != "CONV_2D":
        channels = depth * (int(rng.integers(1, 4)) if kind == "DEPTHWISE_CONV_2D" and not plain else 1)
    x = sketch.tensor(1, *(int(rng.integers(1, 8)) + more for more in reach), depth)
    y = sketch.window(kind, x, channels, kernel, stride, padding=padding, dilation=dilation, groups=groups)
    return sketch.file([x], [y])


def residual_network(blocks: int, stem: int = 8, side: int = 24) -> ModelFile:
    """Blocks of an expansion, a depthwise convolution and a projection, with a shortcut; each third one branches."""
    sketch = Sketch()
    image = sketch.tensor(1, side, side, 3)
    x = sketch.window("CONV_2D", image, stem)
    for number in range(blocks):
        depth = sketch.tensors[x].shape[3]
        y = sketch.window("CONV_2D", x, 4 * depth, (1, 1))
        y = sketch.window("DEPTHWISE_CONV_2D", y)
        if number % 3 == 2:
            other = sketch.window("AVERAGE_POOL_2D", x, kernel=(2, 2))
            y = sketch.concatenation(3, y, other)
        y = sketch.window("CONV_2D", y, depth, (1, 1))
        x = sketch.same("ADD", x, y)
        if number % 6 == 5:
            x = sketch.window("CONV_2D", x, depth + 4, stride=(2, 2))
    x = sketch.mean(x)
    return sketch.file([image], [sketch.same("SOFTMAX", sketch.dense(x, 10))])


def branching_file(rng: np.random.Generator, ops: int, inputs: int = 1) -> ModelFile:
    """Operators that read one or two of all tensors before them; what nobody reads is a result."""
    sketch = Sketch()
    known = [sketch.tensor(16 * int(rng.integers(1, 20))) for _ in range(inputs)]
    read: set[int] = set()
    for _ in range(ops):
        x, y = (known[max(len(known) - int(rng.integers(1, 5)), 0)] for _ in range(2))
        if rng.integers(2):
            known.append(sketch.same("RELU", x))
            read |= {x}
        else:
            known.append(sketch.op("GATHER", (x, y), sketch.tensor(16 * int(rng.integers(1, 20)))))
            read |= {x, y}
    return sketch.file(known[:inputs], [x for x in known if x not in read])


def cell_network(rng: np.random.Generator, cells: int, nodes: int = 4) -> ModelFile:
    """Cells as searches of the DARTS kind find them: each node adds two operators on what was there before."""
    sketch = Sketch()
    image = sketch.tensor(1, 16, 16, 3)
    before = last = sketch.window("CONV_2D", image, 8)
    for _ in range(cells):
        known = [sketch.window("CONV_2D", x, 8, (1, 1)) for x in (before, last)]
        for _ in range(nodes):
            x, y = (known[int(rng.integers(len(known)))] for _ in range(2))
            kinds = rng.choice(["DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "CONV_2D"], 2)
            known.append(
                sketch.same("ADD", *(sketch.window(str(kind), t) for kind, t in zip(kinds, (x, y), strict=True)))
            )
        before, last = last, sketch.concatenation(3, *known[2:])
    return sketch.file([image], [sketch.same("SOFTMAX", sketch.dense(sketch.mean(last), 10))])


def mixed_file(rng: np.random.Generator, ops: int) -> ModelFile:
    """Operators of all kinds that have a rule, and some that have none, on random tensors before them.

    Some results are read again, some inputs are added to others, shapes are changed back and forth.
    """
    sketch = Sketch()
    inputs = [sketch.tensor(1, *map(int, rng.integers(2, 7, 3))) for _ in range(rng.integers(1, 3))]
    known = list(inputs)
    for _ in range(ops):
        x = known[max(len(known) - int(rng.integers(1, 5)), 0)]
        known += _more(sketch, rng, x, known)
    read = {tensor for op in sketch.ops for tensor in op.inputs}
    written = [tensor for op in sketch.ops for tensor in op.outputs]
    results = [tensor for tensor in written if tensor not in read or rng.integers(10) == 0]
    return sketch.file(inputs, results)


def _more(sketch: Sketch, rng: np.random.Generator, x: int, known: list[int]) -> list[int]:
    """Append an operator on a tensor; what it writes."""
    shape, dtype = sketch.tensors[x].shape, sketch.tensors[x].dtype
    alike = [other for other in known if sketch.tensors[other].shape == shape and sketch.tensors[other].dtype == dtype]
    choice = int(rng.integers(12))
    if choice <= 3 and len(shape) == 4 and max(shape) < 40:
        kind = str(rng.choice(["CONV_2D", "DEPTHWISE_CONV_2D", *POOLS]))
        channels = int(rng.integers(1, 13)) if kind == "CONV_2D" else 0
        kernel, stride = (tuple(map(int, rng.integers(1, most, 2))) for most in (4, 3))
        return [sketch.window(kind, x, channels, kernel, stride)]
    if choice <= 5 and len(alike) > 1:
        return [sketch.same(str(rng.choice(["ADD", "MUL", "SUB"])), x, alike[int(rng.integers(len(alike)))])]
    if choice == 6 and max(shape) < 40:
        return [sketch.concatenation(int(rng.integers(len(shape))), x, alike[int(rng.integers(len(alike)))])]
    if choice == 7:
        return [sketch.pad(x, *map(int, rng.integers(0, 3, len(shape))))]
    if choice <= 9:
        flat = (1, math.prod(shape))
        return [sketch.reshape(x, *(flat if shape != flat else (1, 1, 1, flat[1])))]
    if choice == 10:
        kind, other = ("QUANTIZE", "int8") if dtype == "float32" else ("DEQUANTIZE", "float32")
        return [sketch.op(kind, (x,), sketch.tensor(*shape, dtype=other))]
    kind = str(rng.choice(["RELU", "SOFTMAX", "TRANSPOSE", "EXPAND_DIMS", "SPLIT"]))
    if kind != "SPLIT":
        return [sketch.same(kind, x)]
    y, z = (sketch.tensor(*shape, dtype=dtype) for _ in range(2))
    sketch.ops.append(FileOp(kind, (x,), (y, z), {}))
    return [y, z]
