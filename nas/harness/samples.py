"""Samples as the runtimes take them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nas.errors import InputError

Int8Array = np.ndarray[Any, np.dtype[np.int8]]


def as_batch(inputs: Int8Array, input_shape: tuple[int, ...]) -> Int8Array:
    """Give samples the shape of the model's input: (n, 490) becomes (n, 49, 10, 1).

    Args:
        inputs: (n, ...) int8.
        input_shape: of the model, with its leading batch of 1.

    Raises:
        InputError: not int8, no samples, or another number of values in a sample.
    """
    values = math.prod(input_shape[1:])
    if inputs.dtype != np.int8 or not inputs.size or math.prod(inputs.shape[1:]) != values:
        raise InputError(
            f"the model takes int8 (n, {values}) or (n, {_sizes(input_shape)}), got {inputs.dtype} {inputs.shape}"
        )
    return np.ascontiguousarray(inputs).reshape(-1, *input_shape[1:])


def run_each(run_one: Callable[[Int8Array], Int8Array], inputs: Int8Array, input_shape: tuple[int, ...]) -> Int8Array:
    """Run samples one after another.

    Args:
        run_one: maps one sample (1, ...) to its outputs (classes,).
        inputs: (n, ...) int8, each sample with as many values as the model's input, in any shape.
        input_shape: of the model, with its leading batch of 1.

    Returns:
        (n, classes) int8.

    Raises:
        InputError: the samples do not fit the model's input.
    """
    return np.stack([run_one(sample[np.newaxis]) for sample in as_batch(inputs, input_shape)])


def trace_each(
    trace_one: Callable[[Int8Array], list[Int8Array]], inputs: Int8Array, input_shape: tuple[int, ...]
) -> list[Int8Array]:
    """``run_each`` for several tensors at once: ``trace_one`` gives one array of a sample for each of them."""
    traces = [trace_one(sample[np.newaxis]) for sample in as_batch(inputs, input_shape)]
    return [np.stack(values) for values in zip(*traces, strict=True)]


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(str(size) for size in shape[1:])
