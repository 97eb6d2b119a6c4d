"""Proves that two files compute the same bits, in every runtime that runs them.

``python -m nas.harness.identity FOLDER RUNTIME`` is the process of one runtime: some end theirs on a model that they do
not like.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import InputError, ValidationError
from nas.export.flatbuffer import load, tensors
from nas.export.model_reader import read_model
from nas.files import scratch_folder
from nas.harness.tflm import ample_arena_bytes
from nas.plan.placement import require_room
from nas.processes import environment

SAMPLES = 20
SEED = 0
MODELS, INPUTS = ("first.tflite", "second.tflite"), "inputs.npz"  # in the folder of the worker
DETECTOR = "TFLite_Detection_PostProcess"  # its outputs: boxes (1, n, 4), classes and scores (1, n), how many are found
IDENTICAL, UNSTEADY = "identical", "unsteady"
MESSAGE_LINES = 2  # of a runtime's words
NOISE = (" ", "Traceback", "INFO:", "WARNING:")  # lines that say nothing about the model

Array = np.ndarray[Any, Any]
Runner = Callable[[bytes, list[list[Array]]], list[bytes]]


@dataclass(frozen=True, slots=True)
class Proof:
    """In which runtimes two files gave the same bits for the same inputs, and why the others ran neither."""

    samples: int
    distinct: int
    """Different outputs among those of all samples; 1: the network answers all of them alike, which proves little."""
    identical: tuple[str, ...]
    refused: Mapping[str, str]


def prove_identical(first: bytes, second: bytes) -> Proof:
    """Run two models on the same random inputs in every runtime and compare all outputs bit by bit.

    Each runtime has a process of its own, as some end theirs on a model that they do not like.

    Raises:
        InputError: there are no random values for an input.
        ValidationError: outputs differ, or no runtime runs the first.
    """
    inputs = random_inputs(first)
    identical, refused, distinct = [], {}, 0
    with scratch_folder("proof") as folder:
        for name, model in zip(MODELS, (first, second), strict=True):
            (folder / name).write_bytes(model)
        arrays = {f"{number}_{index}": values for number, one in enumerate(inputs) for index, values in enumerate(one)}
        np.savez(folder / INPUTS, **arrays)
        for runtime in RUNTIMES:
            said, reason = _compare_in_own_process(folder, runtime)
            if not said:
                refused[runtime] = reason
                continue
            if UNSTEADY in said:
                refused[runtime] = "the original model does not repeat its own outputs"
                continue
            if IDENTICAL not in said:
                raise ValidationError(f"the new file gives other outputs in {runtime}: nothing was written")
            identical.append(runtime)
            distinct = max(distinct, int(said[0]))
    if not identical:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise ValidationError(f"no runtime runs the model, so nothing is proved and nothing was written\n{reasons}")
    return Proof(len(inputs), distinct, tuple(identical), refused)


def _compare_in_own_process(folder: Path, runtime: str) -> tuple[list[str], str]:
    """The lines that the worker printed, and its last words if it failed."""
    command = [sys.executable, "-m", "nas.harness.identity", str(folder), runtime]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, errors="replace")
    words = [line.strip() for line in done.stderr.splitlines() if line.strip() and not line.startswith(NOISE)]
    return done.stdout.splitlines(), "; ".join(words[-MESSAGE_LINES:]) or f"it dies of the model ({done.returncode})"


def compare_worker(folder: Path, runtime: str) -> None:
    """Compare both models in this process and print the result for the parent process.

    The first line is the number of distinct outputs of the first model. ``IDENTICAL`` follows if the second agrees.

    ``UNSTEADY`` follows if the first model does not repeat its own outputs: some operators leave memory uninitialised.
    """
    arrays = np.load(folder / INPUTS)
    inputs = [[arrays[key] for key in sorted(arrays) if key.startswith(f"{n}_")] for n in range(SAMPLES)]
    first, second = ((folder / name).read_bytes() for name in MODELS)
    run = RUNTIMES[runtime]
    expected = run(first, inputs)
    print(len(set(expected)), flush=True)  # noqa: T201
    if run(second, inputs) == expected:
        print(IDENTICAL)  # noqa: T201
    elif run(first, inputs) != expected:
        print(UNSTEADY)  # noqa: T201


def random_inputs(model: bytes, seed: int = SEED) -> list[list[Array]]:
    """``SAMPLES`` times one array for each input of the model.

    Each has bounds or mean and deviation of its own: to noise over the whole range many networks answer alike. Integers
    of more than 16 bits are 0 or 1, as they may be indices.

    Raises:
        InputError: an input of a type of which there is no random value, such as text, or far too large.
    """
    details = [tensors(model)[index] for index in load(model).subgraphs[0].inputs]
    require_room(sum(detail.elements for detail in details))
    rng = np.random.default_rng(seed)
    return [[_random(rng, detail.shape, detail.dtype) for detail in details] for _ in range(SAMPLES)]


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    if dtype in ("int8", "uint8", "int16"):
        bounds = np.iinfo(dtype)
        low, high = np.sort(rng.integers(bounds.min, bounds.max, 2, endpoint=True))
        return rng.integers(low, high, shape, endpoint=True).astype(dtype)
    if dtype in ("int32", "int64", "uint32", "bool"):
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype in ("float32", "float16", "float64"):
        return np.asarray(rng.normal(rng.normal(), 10 ** rng.uniform(-2, 1), shape)).astype(dtype)
    raise InputError(f"cannot prove that outputs stay the same: no random values for an input of type {dtype}")


def _content_of(model: bytes) -> Callable[[list[Array]], bytes]:
    """Return a function that selects the bytes of the outputs to compare.

    A detector leaves the entries after the last detected box uninitialised, so that they depend on the memory plan.
    """
    parsed = read_model(model)
    if any(op.kind == DETECTOR and op.outputs == parsed.outputs for op in parsed.ops):
        return lambda outputs: b"".join(each.tobytes() for each in _found(*outputs))
    return lambda outputs: b"".join(each.tobytes() for each in outputs)


def _found(boxes: Array, classes: Array, scores: Array, count: Array) -> list[Array]:
    most = int(count[0])
    return [boxes[:, :most], classes[:, :most], scores[:, :most], count]


def run_tflm(model: bytes, inputs: list[list[Array]]) -> list[bytes]:
    """All outputs of every sample in TensorFlow Lite Micro."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ample_arena_bytes(model))
    outputs, content = range(len(load(model).subgraphs[0].outputs)), _content_of(model)
    results = []
    for sample in inputs:
        for index, values in enumerate(sample):
            interpreter.set_input(values, index)
        interpreter.invoke()
        results.append(content([np.asarray(interpreter.get_output(index)) for index in outputs]))
    return results


def run_litert(model: bytes, inputs: list[list[Array]], resolver: str = "AUTO") -> list[bytes]:
    """All outputs of every sample in LiteRT; by default with XNNPACK wherever it can."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType[resolver]
    interpreter = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    places = [detail["index"] for detail in interpreter.get_input_details()]
    outputs, content = [detail["index"] for detail in interpreter.get_output_details()], _content_of(model)
    results = []
    for sample in inputs:
        for place, values in zip(places, sample, strict=True):
            interpreter.set_tensor(place, values)
        interpreter.invoke()
        results.append(content([interpreter.get_tensor(index) for index in outputs]))
    return results


RUNTIMES: dict[str, Runner] = {
    "TensorFlow Lite Micro": run_tflm,
    "LiteRT": run_litert,
    "LiteRT with reference kernels": partial(run_litert, resolver="BUILTIN_REF"),
}


if __name__ == "__main__":
    compare_worker(Path(sys.argv[1]), sys.argv[2])
