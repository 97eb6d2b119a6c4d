"""The end of every run: train a network fully, export it, run the file, and write down what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.budget import Budget
from nas.cost.latency import Latency
from nas.cost.model import Cost, cost
from nas.cost.ops import ops
from nas.cost.sram import greedy_bytes, head
from nas.errors import RunFolderError, ValidationError
from nas.export.c_source import write_c_source
from nas.export.model_reader import read_model
from nas.files import as_written, read_json, write_bytes, write_json
from nas.harness.litert import LiteRtModel
from nas.harness.score import in_real_units, score
from nas.harness.tflm import TflmModel, measure_arena
from nas.models.network import Network, build_network, load_weights, weights_file
from nas.pipeline.parity import Exported, measure_parity
from nas.pipeline.plan import with_plan
from nas.pipeline.quantize import FineTuning, output_grid, quantize
from nas.pipeline.session import Session
from nas.plan.placement import Planning
from nas.space import Architecture
from nas.tasks.metric import Objective, Score
from nas.training.loop import Epoch, evaluate, predict

WEIGHT_FILES = ("weights.safetensors", "training.json")  # what a full training leaves
Int8Array = np.ndarray[Any, np.dtype[np.int8]]


@dataclass(frozen=True, slots=True)
class Finish:
    """How a network is trained in full: epochs, a teacher if any, and whether it is fine-tuned in INT8 (``None``: where
    that is worth it, see ``nas.pipeline.quantize``).
    """

    epochs: int
    teacher: Network | None = None
    qat: bool | None = None


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
    epochs: tuple[Epoch, ...]
    tuning: FineTuning | None
    folder: Path
    latency: Latency | None = None
    """Modelled, of the C code on the microcontroller of the budget."""
    validation_auc: float | None = None
    """Float AUC with the anomalies of validation, where networks were compared by its normal clips alone."""
    confusion: dict[str, list[list[int]]] | None = None
    """``float`` and ``int8`` -> how many test samples of each class (rows) were taken for which (columns)."""

    @property
    def train_seconds(self) -> float:
        """Of all epochs of its training."""
        return sum(epoch.seconds for epoch in self.epochs)

    def to_json(self) -> dict[str, Any]:
        """The ``winner`` object of ``nas search --json``."""
        return {
            "arch": self.architecture.to_json(),
            "summary": self.architecture.summary(),
            "predicted": self.predicted.to_json(),
            "measured": asdict(self.measured),
            "latency_ms": self.latency and self.latency.to_json(),
            "metric": self.metric,
            "float_score": self.float_score,
            "int8_score": self.int8.value,
            "int8_correct": self.int8.correct,
            "int8_total": self.int8.total,
            "int8_score_tflm": self.int8_tflm.value,
            "float_validation_score": self.validation_score,
            "float_validation_auc": self.validation_auc,
            "fine_tuning": None if self.tuning is None else self.tuning.to_json(),
            "train_seconds": round(self.train_seconds, 3),
            "train_samples_per_second": _mean(self.epochs, "samples_per_second", digits=1),
            "train_input_share": _mean(self.epochs, "input_share", digits=4),
            "folder": self.folder.name,
        }


def make_winner(session: Session, architecture: Architecture, budget: Budget, finish: Finish, folder: Path) -> Winner:
    """Train, export and measure; every file of ``winner/`` is whole when it appears.

    Raises:
        ValidationError: the file does not fit the budget, or two runtimes disagree on its outputs. The files stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "arch.json", architecture.to_json())
    write_json(folder / "cost.json", cost_record(architecture, budget.planning))
    network, history = train_fully(session, architecture, finish, folder)
    session.reporter.note("exporting: torch, ONNX, TFLite, INT8")
    quantized = quantize(session, network, architecture.graph, folder, finish.qat, finish.teacher)
    model, _ = with_plan(quantized.model, budget.planning)
    write_bytes(folder / "model.tflite", model)
    session.reporter.note("measuring the INT8 file in TensorFlow Lite Micro and LiteRT")
    arena = measure_arena(model)
    measured = Measured(len(model), arena.total_bytes, arena.activation_bytes)
    kinds = [op.kind for op in read_model(model).ops]
    write_c_source(model, folder, arena_bytes=arena.total_bytes, operators=kinds)
    exported = Exported(quantized.network, architecture.graph, model, folder / "model.onnx")
    parity = measure_parity(exported, session.data, classes=session.task.objective is Objective.CLASSIFY)
    test, chosen = session.test(), list[Int8Array]()
    winner = Winner(
        architecture,
        budget.cost(architecture),
        measured,
        evaluate(network, session.data, test).value,
        score_file(session, model, LiteRtModel(model).run, "LiteRT", chosen),
        score_file(session, model, TflmModel(model).run, "TFLM"),
        session.validate(network),
        session.task.metric,
        parity,
        tuple(history),
        quantized.tuning,
        folder,
        budget.latency(architecture),
        session.validate_on_anomalies(network),
        _confusion(session, predict(network, session.data, test.inputs), np.concatenate(chosen))
        if session.task.metric == "accuracy"
        else None,
    )
    if winner.validation_auc is not None:
        session.reporter.note(
            f"validation: {winner.validation_score:.3f}, less the mean score of normal clips, by which it was chosen; "
            f"AUC with anomalies {winner.validation_auc:.3f}, which nothing was chosen by"
        )
    proof = {**winner.to_json(), "parity": parity, "confusion": winner.confusion, "data": session.data_record()}
    write_json(folder / "validation.json", proof)
    require_fit(winner.predicted, measured, budget, folder)
    return winner


def train_fully(
    session: Session, architecture: Architecture, finish: Finish, folder: Path
) -> tuple[Network, list[Epoch]]:
    """Train as asked, or take the weights that an earlier try finished; returns the epochs behind them too."""
    weights, checkpoint = (folder / name for name in (WEIGHT_FILES[0], "checkpoint.pt"))
    if weights.exists():
        network = build_network(architecture.graph, session.seed)
        load_weights(network, weights)
        network.to(session.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        epochs = read_json(folder / "training.json", RunFolderError)
        with as_written(folder / "training.json", RunFolderError):
            return network, [Epoch(**epoch) for epoch in epochs]
    network, history = session.train(architecture, finish.epochs, "winner", checkpoint, teacher=finish.teacher)
    write_json(folder / "training.json", [asdict(epoch) for epoch in history])
    write_bytes(weights, weights_file(network))
    checkpoint.unlink(missing_ok=True)
    return network, history


def score_file(
    session: Session,
    model: bytes,
    run: Callable[[Int8Array], Int8Array],
    runtime: str,
    chosen: list[Int8Array] | None = None,
) -> Score:
    """Score of the INT8 file on the test split; ``chosen`` is given the class of each sample, some at a time."""

    def progress(done: int, total: int) -> None:
        session.reporter.progress(f"test samples in {runtime}", done, total)

    outputs = in_real_units(run, session.quantization.quantize, output_grid(model))
    if chosen is not None:
        outputs = _noting(outputs, chosen)
    return score(outputs, session.dataset.test, session.data.metric, progress)


def _noting(run: Callable[[Any], Any], chosen: list[Int8Array]) -> Callable[[Any], Any]:
    """The same, with the largest of the outputs of each sample written down."""

    def noted(features: Any) -> Any:
        outputs = run(features)
        chosen.append(outputs.argmax(axis=1))
        return outputs

    return noted


def _confusion(session: Session, outputs: torch.Tensor, int8: Int8Array) -> dict[str, list[list[int]]]:
    labels, classes = session.dataset.test.labels, len(session.task.classes)
    chosen = {"float": outputs.argmax(dim=1).cpu().numpy(), "int8": int8}
    return {
        name: np.bincount(labels * classes + each, minlength=classes * classes).reshape(classes, classes).tolist()
        for name, each in chosen.items()
    }


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


def _mean(epochs: Sequence[Epoch], name: str, digits: int) -> float | None:
    """Of one fact over the time of all epochs that know it, rounded."""
    known = [(value, epoch.seconds) for epoch in epochs if (value := getattr(epoch, name)) is not None]
    return round(statistics.fmean(*zip(*known, strict=True)), digits) if known else None


def require_fit(predicted: Cost, measured: Measured, budget: Budget, folder: Path) -> None:
    """Hold what was measured against the budget, and what cannot be measured, as it is predicted once more.

    Raises:
        ValidationError: names each bound that is exceeded, by what.
    """
    found = replace(predicted, flash_bytes=measured.flash_bytes, sram_bytes=measured.sram_bytes)
    bounds = budget.bounds()
    over = [f"{name} {value:,} of {bounds[name]:,}" for name, value in budget.violations(found).items()]
    if over:
        raise ValidationError(f"the exported network exceeds its budget: {', '.join(over)}; the files are in {folder}")
