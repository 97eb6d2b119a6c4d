"""The end of every run: train a network fully, export it, run the file, and write down what was measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from nas.budget import Budget
from nas.cost.model import Cost, cost
from nas.cost.ops import ops
from nas.cost.sram import greedy_bytes, head
from nas.errors import ValidationError
from nas.export.c_source import write_c_source
from nas.export.flatbuffer import output_detail
from nas.export.onnx_export import export_onnx
from nas.export.parity import check, compare, default_bounds
from nas.export.slim import slim
from nas.export.tflite import check_operators, convert_int8
from nas.files import write_bytes, write_json
from nas.harness.litert import LiteRtModel
from nas.harness.onnx_runtime import run_onnx
from nas.harness.score import in_real_units, score
from nas.harness.tflm import TflmModel, measure_arena
from nas.models.network import Network, build_network
from nas.pipeline.plan import with_plan
from nas.pipeline.session import Session
from nas.plan.placement import Planning
from nas.space import Architecture
from nas.tasks.base import InputQuantization
from nas.tasks.metric import Objective, Score
from nas.training.loop import evaluate, predict

CALIBRATION_SAMPLES = (
    200  # training samples; the converter was tried with 100 to 200, and INT8 then stays within 1 point of float
)
PARITY_SAMPLES = 100  # validation samples; TFLM runs about 300 keyword clips a second

Int8Array = np.ndarray[Any, np.dtype[np.int8]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on the exported file: its size and the arena that TFLM takes for it, in bytes."""

    flash_bytes: int
    sram_bytes: int
    activation_bytes: int


@dataclass(frozen=True, slots=True)
class Winner:
    """A trained and exported network with its proof."""

    architecture: Architecture
    predicted: Cost
    measured: Measured
    float_score: float
    int8: Score
    int8_tflm: Score
    validation_score: float
    metric: str
    parity: dict[str, Any]
    train_seconds: float
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """The ``winner`` object of ``nas search --json``."""
        return {
            "arch": self.architecture.to_json(),
            "summary": self.architecture.summary(),
            "predicted": self.predicted.to_json(),
            "measured": asdict(self.measured),
            "metric": self.metric,
            "float_score": self.float_score,
            "int8_score": self.int8.value,
            "int8_correct": self.int8.correct,
            "int8_total": self.int8.total,
            "int8_score_tflm": self.int8_tflm.value,
            "float_validation_score": self.validation_score,
            "train_seconds": round(self.train_seconds, 1),
            "folder": self.folder.name,
        }


def make_winner(session: Session, architecture: Architecture, budget: Budget, epochs: int, folder: Path) -> Winner:
    """Train, export and measure; every file of ``winner/`` is whole when it appears.

    Raises:
        ValidationError: the file does not fit the budget, or two runtimes disagree on its outputs. The files stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "arch.json", architecture.to_json())
    write_json(folder / "cost.json", cost_record(architecture, budget.planning))
    network, seconds = train_fully(session, architecture, epochs, folder)
    session.reporter.note("exporting: torch, ONNX, TFLite, INT8")
    model = export_network(session, network, architecture, budget.planning, folder)
    session.reporter.note("measuring the INT8 file in TensorFlow Lite Micro and LiteRT")
    arena = measure_arena(model)
    measured = Measured(len(model), arena.total_bytes, arena.activation_bytes)
    write_c_source(model, folder, arena_bytes=arena.total_bytes)
    parity = measure_parity(session, network, model, folder / "model.onnx")
    winner = Winner(
        architecture,
        budget.cost(architecture),
        measured,
        evaluate(network, session.data, session.test()).value,
        score_file(session, model, LiteRtModel(model).run, "LiteRT"),
        score_file(session, model, TflmModel(model).run, "TFLM"),
        session.validate(network),
        session.task.metric,
        parity,
        seconds,
        folder,
    )
    write_json(folder / "validation.json", {**winner.to_json(), "parity": parity, "data": session.data_record()})
    _require_fit(measured, budget, folder)
    return winner


def train_fully(session: Session, architecture: Architecture, epochs: int, folder: Path) -> tuple[Network, float]:
    """Train for ``epochs``, or take the weights that an earlier try finished; returns the seconds of training too."""
    weights, checkpoint = folder / "weights.safetensors", folder / "checkpoint.pt"
    if weights.exists():
        network = build_network(architecture.graph, session.seed)
        network.load_state_dict(load_file(weights))
        network.to(session.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network, sum(epoch["seconds"] for epoch in json.loads((folder / "training.json").read_text()))
    network, history = session.train(architecture, epochs, "winner", checkpoint)
    write_json(folder / "training.json", [asdict(epoch) for epoch in history])
    state = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    partial = folder / ".weights.safetensors"
    save_file(state, partial)
    partial.replace(weights)
    checkpoint.unlink(missing_ok=True)
    return network, sum(epoch.seconds for epoch in history)


def export_network(
    session: Session, network: Network, architecture: Architecture, planning: Planning, folder: Path
) -> bytes:
    """Write ``model.onnx`` and the slimmed INT8 ``model.tflite`` with its memory plan; returns the latter.

    Ranges come from training samples as they are, without augmentation.

    Raises:
        ValidationError: the plan is not safe; stray operators.
    """
    network.to("cpu")
    onnx_path, raw = folder / "model.onnx", folder / ".model.raw.tflite"
    export_onnx(network, architecture.input_shape, onnx_path)
    grid = (session.quantization.scale, session.quantization.zero_point)
    convert_int8(onnx_path, calibration_samples(session), raw, input_quantization=grid)
    model, _ = with_plan(slim(raw.read_bytes()), planning)
    check_operators(model, {op.kind.value for op in architecture.graph.ops})
    write_bytes(folder / "model.tflite", model)
    raw.unlink()
    network.to(session.device)
    return model


def score_file(session: Session, model: bytes, run: Callable[[Int8Array], Int8Array], runtime: str) -> Score:
    """Score of the INT8 file on the test split."""

    def progress(done: int, total: int) -> None:
        session.reporter.progress(f"test samples in {runtime}", done, total)

    outputs = in_real_units(run, session.quantization.quantize, output_grid(model))
    return score(outputs, session.dataset.test, session.data.metric, progress)


def output_grid(model: bytes) -> InputQuantization:
    """The int8 scale of a model's output."""
    detail = output_detail(model)
    return InputQuantization(detail.scale, detail.zero_point)


def measure_parity(session: Session, network: Network, model: bytes, onnx_path: Path) -> dict[str, Any]:
    """Outputs of torch, ONNX, LiteRT and TFLM on the same validation samples, compared and held against the bounds.

    Raises:
        ValidationError: a pair of runtimes disagrees beyond its bound.
    """
    inputs = session.data.validation.inputs[:PARITY_SAMPLES]
    features = session.data.dequantize(inputs)
    grid = output_grid(model)
    outputs = {
        "torch": predict(network, session.data, inputs).cpu().numpy(),
        "onnx": run_onnx(onnx_path, features.cpu().numpy()),
        "litert": grid.dequantize(LiteRtModel(model, kernels="reference").run(nhwc(inputs))),
        "tflm": grid.dequantize(TflmModel(model).run(nhwc(inputs))),
    }
    report = compare(outputs, "torch")
    check(report, default_bounds(outputs, grid.scale, classes=session.task.objective is Objective.CLASSIFY))
    return report.to_dict()


def cost_record(architecture: Architecture, planning: Planning) -> dict[str, Any]:
    """The predicted costs as ``cost.json`` keeps them."""
    graph = architecture.graph
    activations = {"activation_bytes": head(graph, planning).size_bytes, "greedy_activation_bytes": greedy_bytes(graph)}
    return {
        **cost(graph, planning).to_json(),
        **activations,
        "plan": planning.kind.value,
        "kernels": list(planning.kernels),
        "macs": ops(graph) // 2,
        "params": graph.parameters,
    }


def nhwc(inputs: torch.Tensor) -> Int8Array:
    """INT8 (n, c, h, w) on any device -> (n, h, w, c) as TFLite takes it."""
    return np.ascontiguousarray(inputs.cpu().numpy().transpose(0, 2, 3, 1))


def calibration_samples(session: Session) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Clean training samples (n, h, w, c) spread evenly over the split, on the grid of the input."""
    rows = torch.linspace(0, session.samples - 1, min(CALIBRATION_SAMPLES, session.samples)).long()
    features = session.data.dequantize(session.data.train_inputs[0, rows.to(session.device)])
    return np.ascontiguousarray(features.cpu().numpy().transpose(0, 2, 3, 1))


def _require_fit(measured: Measured, budget: Budget, folder: Path) -> None:
    found = {"flash_bytes": measured.flash_bytes, "sram_bytes": measured.sram_bytes}
    bounds = budget.bounds()
    over = [
        f"{name} {found[name]:,} of {bounds[name]:,}" for name in found if name in bounds and found[name] > bounds[name]
    ]
    if over:
        raise ValidationError(f"the exported network exceeds its budget: {', '.join(over)}; the files are in {folder}")
