"""Write the file that goes to the device: slimmed, and proved to compute the same bits as before."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nas.engines.run_folder import RunFolder
from nas.errors import InputError, RunFolderError, ValidationError
from nas.export.flatbuffer import load, tensors
from nas.export.slim import slim
from nas.export.tflite import check_operators, convert_int8
from nas.files import write_bytes
from nas.harness.tflm import ample_arena_bytes
from nas.pipeline.cost import read_model_file
from nas.pipeline.reporter import Reporter

SAMPLES = 20
SEED = 0
MODELS, INPUTS = ("first.tflite", "second.tflite"), "inputs.npz"  # in the folder of the worker
IDENTICAL = "identical"
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


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written."""

    path: Path
    original_bytes: int
    flash_bytes: int
    dropped: Mapping[str, int]
    """Bytes of what was left out, by what it was; empty when nothing was."""
    proof: Proof | None
    """``None``: the file is as the converter wrote it."""

    def to_json(self) -> dict[str, Any]:
        """What ``nas export --json`` prints."""
        proof = self.proof
        return {
            "model": str(self.path),
            "original_bytes": self.original_bytes,
            "flash_bytes": self.flash_bytes,
            "saved_bytes": self.original_bytes - self.flash_bytes,
            "dropped": dict(self.dropped),
            "samples": proof.samples if proof else 0,
            "distinct_outputs": proof.distinct if proof else 0,
            "identical_in": list(proof.identical) if proof else [],
            "refused_by": dict(proof.refused) if proof else {},
        }


def export_model(what: Path, slimmed: bool, out: Path | None, reporter: Reporter) -> Exported:
    """Slim a ``.tflite`` file, or convert the winner of a run again.

    Args:
        what: a ``.tflite`` file, its own or of any other tool, or a run folder.
        slimmed: ``False``, for a run only: keep the names and ranges that the converter wrote, which tools show.
        out: default ``NAME.slim.tflite`` beside the input; of a run ``winner/model.tflite``, or ``model.full.tflite``.

    Raises:
        InputError: there is no such thing, it cannot be slimmed, or ``out`` cannot be written.
        DataError: the data set of the run, from which activation ranges are taken, is not there any more.
        ValidationError: outputs differ, or no runtime can run the file. Nothing is written.
    """
    if what.is_dir():
        return _export_run(what, slimmed, out, reporter)
    if not slimmed:
        raise InputError(f"--no-slim would only copy {what}: it is for a run folder, whose file is converted again")
    original = read_model_file(what)
    return _write(original, slim(original), _free(out or what.with_suffix(".slim.tflite"), what), reporter)


def _export_run(folder: Path, slimmed: bool, out: Path | None, reporter: Reporter) -> Exported:
    from nas.pipeline.session import open_session
    from nas.pipeline.train import find_architecture
    from nas.pipeline.winner import _calibration
    from nas.tasks import get_task

    run = RunFolder.open(folder)
    onnx, model = run.winner / "model.onnx", run.winner / "model.tflite"
    if not onnx.is_file():
        raise RunFolderError(f"the run in {folder} has nothing to convert yet: there is no {onnx}")
    path = _free(out or (model if slimmed else run.winner / "model.full.tflite"))
    architecture = find_architecture(str(folder))
    record = run.record()
    asked = record.get("request", record)
    reporter.note("loading the data set of the run: activation ranges are taken from its training samples")
    session = open_session(get_task(architecture.task), asked.get("data"), asked.get("seed", 0), "cpu", reporter)
    reporter.note("converting: ONNX, TFLite, INT8")
    with tempfile.TemporaryDirectory(prefix="nas-export-") as scratch:
        raw = Path(scratch, "model.tflite")
        grid = (session.quantization.scale, session.quantization.zero_point)
        convert_int8(onnx, _calibration(session), raw, input_quantization=grid)
        original = raw.read_bytes()
    check_operators(original, {op.kind.value for op in architecture.graph.ops})
    if not slimmed:
        write_bytes(path, original)
        return Exported(path, len(original), len(original), {}, None)
    small = slim(original)
    if path == model and model.is_file() and model.read_bytes() != small:
        raise ValidationError(
            f"converting again gives another file than {model}, which was validated: data or tools have changed\n"
            "nothing was written; --out FILE takes the new one"
        )
    return _write(original, small, path, reporter)


def _free(path: Path, source: Path | None = None) -> Path:
    """A place that may be written: no folder, and not the input."""
    if path.is_dir():
        raise InputError(f"--out {path} is a folder: give a file name")
    if source is not None and path.resolve() == source.resolve():
        raise InputError(f"--out {path} is the input: give another file name")
    return path


def _write(original: bytes, small: bytes, path: Path, reporter: Reporter) -> Exported:
    reporter.note(f"comparing the outputs of both files on {SAMPLES} random inputs")
    proof = prove_identical(original, small)
    write_bytes(path, small)
    return Exported(path, len(original), len(small), dropped_bytes(original, small), proof)


def dropped_bytes(original: bytes, small: bytes) -> dict[str, int]:
    """Where the difference in size was: the parts that are easily told apart, and the rest."""
    before, after = load(original), load(small)
    found = {name: measure(before) - measure(after) for name, measure in PARTS.items()}
    rest = len(original) - len(small) - sum(found.values())
    return {**found, "alignment, zero points, empty buffers and tables": rest}


def prove_identical(first: bytes, second: bytes) -> Proof:
    """Run two models on the same random inputs in every runtime and compare all outputs bit by bit.

    Each runtime has a process of its own, as some end theirs on a model that they do not like.

    Raises:
        InputError: there are no random values for an input.
        ValidationError: outputs differ, or no runtime runs the first.
    """
    inputs = random_inputs(first)
    identical, refused, distinct = [], {}, 0
    with tempfile.TemporaryDirectory(prefix="nas-proof-") as folder:
        for name, model in zip(MODELS, (first, second), strict=True):
            Path(folder, name).write_bytes(model)
        arrays = {f"{number}_{index}": values for number, one in enumerate(inputs) for index, values in enumerate(one)}
        np.savez(Path(folder, INPUTS), **arrays)
        for runtime in RUNTIMES:
            said, reason = _compare_in_own_process(folder, runtime)
            if not said:
                refused[runtime] = reason
                continue
            if IDENTICAL not in said:
                raise ValidationError(f"the slimmed file gives other outputs in {runtime}: nothing was written")
            identical.append(runtime)
            distinct = max(distinct, int(said[0]))
    if not identical:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise ValidationError(f"no runtime runs the model, so nothing is proved and nothing was written\n{reasons}")
    return Proof(len(inputs), distinct, tuple(identical), refused)


def _compare_in_own_process(folder: str, runtime: str) -> tuple[list[str], str]:
    """The lines that the worker printed, and its last words if it failed."""
    packages = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, packages))}
    command = [sys.executable, "-m", "nas.pipeline.export", folder, runtime]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    words = [line.strip() for line in done.stderr.splitlines() if line.strip() and not line.startswith(NOISE)]
    return done.stdout.splitlines(), "; ".join(words[-MESSAGE_LINES:]) or f"it dies of the model ({done.returncode})"


def compare_worker(folder: Path, runtime: str) -> None:
    """What runs in the process of a runtime: prints how many outputs of the first model differ, then ``IDENTICAL``."""
    arrays = np.load(folder / INPUTS)
    inputs = [[arrays[key] for key in sorted(arrays) if key.startswith(f"{n}_")] for n in range(SAMPLES)]
    first, second = ((folder / name).read_bytes() for name in MODELS)
    run = RUNTIMES[runtime]
    expected = run(first, inputs)
    print(len(set(expected)), flush=True)  # noqa: T201
    if run(second, inputs) == expected:
        print(IDENTICAL)  # noqa: T201


def random_inputs(model: bytes) -> list[list[Array]]:
    """``SAMPLES`` times one array for each input of the model.

    Integers take their whole range where it is of 8 or 16 bits; wider ones are 0 or 1, as they may be indices.

    Raises:
        InputError: an input of a type of which there is no random value, such as text.
    """
    details = [tensors(model)[index] for index in load(model).subgraphs[0].inputs]
    rng = np.random.default_rng(SEED)
    return [[_random(rng, detail.shape, detail.dtype) for detail in details] for _ in range(SAMPLES)]


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    if dtype in ("int8", "uint8", "int16"):
        bounds = np.iinfo(dtype)
        return rng.integers(bounds.min, bounds.max, shape, endpoint=True).astype(dtype)
    if dtype in ("int32", "int64", "uint32", "bool"):
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype in ("float32", "float16", "float64"):
        return rng.standard_normal(shape).astype(dtype)
    raise InputError(f"cannot prove that outputs stay the same: no random values for an input of type {dtype}")


def run_tflm(model: bytes, inputs: list[list[Array]]) -> list[bytes]:
    """All outputs of every sample in TensorFlow Lite Micro."""
    from tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ample_arena_bytes(model))
    outputs = range(len(load(model).subgraphs[0].outputs))
    results = []
    for sample in inputs:
        for index, values in enumerate(sample):
            interpreter.set_input(values, index)
        interpreter.invoke()
        results.append(b"".join(np.asarray(interpreter.get_output(index)).tobytes() for index in outputs))
    return results


def run_litert(model: bytes, inputs: list[list[Array]], resolver: str = "AUTO") -> list[bytes]:
    """All outputs of every sample in LiteRT; by default with XNNPACK wherever it can."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType[resolver]
    interpreter = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    places = [detail["index"] for detail in interpreter.get_input_details()]
    outputs = [detail["index"] for detail in interpreter.get_output_details()]
    results = []
    for sample in inputs:
        for place, values in zip(places, sample, strict=True):
            interpreter.set_tensor(place, values)
        interpreter.invoke()
        results.append(b"".join(interpreter.get_tensor(index).tobytes() for index in outputs))
    return results


RUNTIMES: dict[str, Runner] = {
    "TensorFlow Lite Micro": run_tflm,
    "LiteRT": run_litert,
    "LiteRT with reference kernels": partial(run_litert, resolver="BUILTIN_REF"),
}


def _name_bytes(tree: Any) -> int:
    graphs = tree.subgraphs
    names = [tree.description, *(graph.name for graph in graphs)]
    names += [tensor.name for graph in graphs for tensor in graph.tensors]
    return sum(_vector(len(name) + 1) for name in names if name is not None)


def _range_bytes(tree: Any) -> int:
    found = [tensor.quantization for graph in tree.subgraphs for tensor in graph.tensors]
    ranges: list[Sequence[float] | None] = [part for q in found if q is not None for part in (q.min, q.max)]
    return sum(_vector(4 * len(part)) for part in ranges if part is not None)


def _metadata_bytes(tree: Any) -> int:
    items = tree.metadata if tree.metadata is not None else []
    buffers = [tree.buffers[number].data for number in {item.buffer for item in items}]
    data = sum(_vector(len(buffer)) for buffer in buffers if buffer is not None)
    return data + sum(_vector(len(item.name) + 1) for item in items if item.name is not None)


def _vector(size: int) -> int:
    """Bytes of a vector in a flatbuffer: its length, and its content to a multiple of 4."""
    return 4 + 4 * math.ceil(size / 4)


PARTS: dict[str, Callable[[Any], int]] = {"names": _name_bytes, "ranges": _range_bytes, "metadata": _metadata_bytes}

if __name__ == "__main__":
    compare_worker(Path(sys.argv[1]), sys.argv[2])
