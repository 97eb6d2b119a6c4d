"""Runs a model in TensorFlow Lite Micro itself, and asks TFLM how much arena it took.

The runtime is the ``tflite-micro`` wheel: the C++ interpreter with its reference kernels, compiled for the
host. Integer arithmetic makes its outputs those of any core with the same kernels. Its *persistent* bytes are
those of a 64-bit machine.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import ValidationError
from nas.export.flatbuffer import tensors
from nas.export.model_reader import read_model
from nas.export.offline_plan import with_offline_plan
from nas.files import scratch_folder
from nas.harness.samples import run_each, trace_each
from nas.harness.stderr import captured_stderr
from nas.processes import environment

Int8Array = np.ndarray[Any, np.dtype[np.int8]]

ALIGNMENT = 16  # TFLM: MicroArenaBufferAlignment()
LOAD_SECONDS = 120
MESSAGE_LINES = 4  # of TFLM's own words in an error


@dataclass(frozen=True)
class ArenaReport:
    """What TFLM's recording allocator says; ``total_bytes`` is the smallest arena in which the model runs."""

    total_bytes: int
    activation_bytes: int
    """The head: all activations, input and output included, as planned, and scratch buffers of kernels."""
    persistent_bytes: int
    """The tail: tensor and node structures, kernel state, per-channel multipliers; less on a 32-bit core."""


class TflmModel:
    """A loaded model; ``run`` takes about 3 ms a sample for a keyword-spotting network."""

    def __init__(self, model: bytes, every_tensor: bool = False) -> None:
        """Allocate the model.

        Args:
            model: a .tflite file.
            every_tensor: keep all tensors apart, for ``trace``. TFLM takes no memory plan then, so that of the file,
                if it has one, is left out.

        Raises:
            ValidationError: TFLM refuses it, for instance for an operator that it does not have.
        """
        from tflite_micro import runtime

        configs = runtime.InterpreterConfig
        config = configs.kPreserveAllTensors if every_tensor else configs.kAllocationRecording
        model = with_offline_plan(model, None) if every_tensor else model
        with captured_stderr() as words:
            try:
                self._interpreter = runtime.Interpreter.from_bytes(
                    model, arena_size=ample_arena_bytes(model), intrepreter_config=config
                )
            except RuntimeError as error:
                raise ValidationError(_refusal(words())) from error
        self.input_shape = tuple(int(size) for size in self._interpreter.get_input_details(0)["shape"])

    def run(self, inputs: Int8Array) -> Int8Array:
        """Run samples one after another: (n, ...) int8 -> (n, classes) int8; see ``run_each``."""
        return run_each(self._run_one, inputs, self.input_shape)

    def trace(self, inputs: Int8Array, tensors: Sequence[int]) -> list[Int8Array]:
        """Run samples one after another: (n, ...) int8 -> (n, values) for each of these tensors of the file."""
        return trace_each(lambda sample: self._trace_one(sample, tensors), inputs, self.input_shape)

    def _run_one(self, sample: Int8Array) -> Int8Array:
        self._interpreter.set_input(sample, 0)
        self._interpreter.invoke()
        return np.array(self._interpreter.get_output(0)).reshape(-1)

    def _trace_one(self, sample: Int8Array, tensors: Sequence[int]) -> list[Int8Array]:
        self._run_one(sample)
        return [np.array(self._interpreter.GetTensor(index, 0)["tensor_data"]).reshape(-1) for index in tensors]


def measure_arena(model: bytes) -> ArenaReport:
    """Load a model in a process of its own and read what TFLM prints about its allocations.

    Raises:
        ValidationError: TFLM refuses the model, or dies of it.
    """
    with scratch_folder("arena") as folder:
        path = folder / "model.tflite"
        path.write_bytes(model)
        command = [sys.executable, "-m", "nas.harness.arena_worker", str(path), str(ample_arena_bytes(model))]
        try:
            done = subprocess.run(
                command, env=environment(), capture_output=True, text=True, errors="replace", timeout=LOAD_SECONDS
            )
        except subprocess.TimeoutExpired as cause:
            raise ValidationError(f"TensorFlow Lite Micro does not load the model within {LOAD_SECONDS} s") from cause
    if done.returncode:
        more = f"it ends with {signal.Signals(-done.returncode).name}" if done.returncode < 0 else ""
        if "op code CUSTOM" in done.stderr:  # which it does not name
            more = f"custom operators: {', '.join(sorted({op.kind for op in read_model(model).ops if op.custom}))}"
        raise ValidationError(_refusal(done.stderr, more))
    return ArenaReport(*(_allocated(done.stderr, part) for part in ("total", "head", "tail")))


def ample_arena_bytes(model: bytes) -> int:
    """Bound the arena from above: all activations at once, ample kernel state (untouched memory is free).

    The wheel's own default, ten times the file, is too small for a small network with large activations.
    """
    activations = persistent = 0
    for tensor in tensors(model):
        activations += 0 if tensor.data_bytes else 4 * tensor.elements + ALIGNMENT
        persistent += 512 + 16 * len(tensor.scales)  # at most 8 bytes per channel in each of weights and bias
    return (activations + persistent + 2**16) // ALIGNMENT * ALIGNMENT


def _allocated(text: str, part: str) -> int:
    match = re.search(rf"Arena allocation {part} (\d+) bytes", text)
    if match is None:
        raise ValidationError(f"TFLM did not report its {part} allocation: {text[-200:]!r}")
    return int(match[1])


def _refusal(words: str, more: str = "") -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip() and not line.startswith(("Traceback", "  "))]
    said = "; ".join([*lines[-MESSAGE_LINES:], *([more] if more else [])]) or "it died without a word"
    return f"TensorFlow Lite Micro refuses the model: {said}"
