"""From a trained network to its INT8 file: converted, and trained further on the file's grids if it lost too much.

The converter's file says how activations share grids; what these are is found by ``nas.training.calibration``.
Fine-tuning trains on them, with weights rounded as the file rounds them, and the result is converted again. Integers
and grids in the file are our own in either case; the weights that the converter comes to by itself must be the same.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from nas.errors import RunFolderError, ValidationError
from nas.export.flatbuffer import output_detail
from nas.export.int8_file import read_int8, write_int8
from nas.export.onnx_export import export_onnx
from nas.export.slim import slim
from nas.export.tflite import check_operators, convert_int8
from nas.files import scratch_folder, write_bytes
from nas.harness.litert import LiteRtModel
from nas.harness.score import in_real_units, score
from nas.models.int8 import Grid
from nas.models.network import Network, load_weights, readable_weights, weights_file
from nas.models.quantized import QuantizedNetwork
from nas.pipeline.session import Session
from nas.space.graph import Graph
from nas.tasks.base import InputQuantization
from nas.training.calibration import calibrate
from nas.training.loop import Epoch, train
from nas.units import format_score

CONVERTER_SAMPLES = 200  # training samples of which the converter takes ranges, for a file to start from
CALIBRATION_SAMPLES = 1000  # of which we do: 2 s for a keyword network, 14 s for images of 96 x 96 pixels
# Of the score on the validation split, float less INT8: a file that loses more is fine-tuned, if nobody forbids it.
MOST_LOST = {"accuracy": 0.003, "auc": 0.005}
# Folding a batch norm that does nothing may move a weight by the last bit, and so over the edge between two integers.
MOST_MOVED = 1e-3
FILE = "quantized.safetensors"  # of the run: weights and biases as they were rounded, and the grids


@dataclass(frozen=True, slots=True)
class FineTuning:
    """Scores on the validation split: of the float network, of its INT8 file, and of the one that was fine-tuned."""

    float_score: float
    before: float
    after: float
    epochs: int
    seconds: float

    @property
    def taken(self) -> bool:
        """A file that is worse than before is not taken."""
        return self.after >= self.before

    def to_json(self) -> dict[str, Any]:
        """As ``validation.json`` has it."""
        return {**asdict(self), "seconds": round(self.seconds, 1), "taken": self.taken}


@dataclass(frozen=True, slots=True)
class Quantized:
    """A slim INT8 file without a memory plan, the float network whose weights it rounds, and how that was trained."""

    model: bytes
    network: Network
    tuning: FineTuning | None


def loses_much(metric: str, float_score: float, int8_score: float) -> bool:
    """Whether a file loses more than ``MOST_LOST``; of an error, which is any number, more than that share of it.

    >>> loses_much("auc", 0.9, 0.89), loses_much("auc", -344.2, -344.4)
    (True, False)
    """
    return float_score - int8_score > MOST_LOST[metric] * max(abs(float_score), 1.0)


def quantize(
    session: Session, network: Network, graph: Graph, folder: Path, qat: bool | None, teacher: Network | None
) -> Quantized:
    """Write ``model.onnx`` and ``quantized.safetensors``, and return the INT8 file.

    Args:
        network: trained.
        qat: fine-tune; by default where the file loses more than ``MOST_LOST``.

    Raises:
        ValidationError: stray operators, or the converter's weights are not ours.
    """
    network.eval()
    converted = convert(session, network, graph, folder / "model.onnx")
    samples = torch.from_numpy(training_samples(session, CALIBRATION_SAMPLES)).permute(0, 3, 1, 2)
    rounded = calibrate(network, graph, read_int8(converted, graph).grids, samples)
    model = write(converted, rounded)
    save(rounded, folder / FILE)
    float_score, before = session.validate(network), validation_score(session, model)
    if not (loses_much(session.task.metric, float_score, before) if qat is None else qat):
        return Quantized(model, network, None)
    checkpoint, onnx = folder / "fine_tuning.pt", folder / ".tuned.onnx"
    history = _fine_tune(session, rounded, checkpoint, teacher)
    tuned = rounded.to_float()
    better = write(convert(session, tuned, graph, onnx), rounded)
    seconds = sum(epoch.seconds for epoch in history)
    tuning = FineTuning(float_score, before, validation_score(session, better), len(history), seconds)
    _tell(session, tuning)
    if tuning.taken:
        onnx.replace(folder / "model.onnx")
        save(rounded, folder / FILE)
    onnx.unlink(missing_ok=True)
    checkpoint.unlink(missing_ok=True)
    return Quantized(better, tuned, tuning) if tuning.taken else Quantized(model, network, tuning)


def convert(session: Session, network: Network, graph: Graph, onnx: Path) -> bytes:
    """Export to ONNX, convert to INT8, slim; see ``convert_onnx``."""
    height, width, channels = graph.shapes[0]
    export_onnx(network, (height, width, channels), onnx)
    return slim(convert_onnx(session, graph, onnx))


def convert_onnx(session: Session, graph: Graph, onnx: Path) -> bytes:
    """What the converter makes of an ONNX file; ranges come from training samples without augmentation.

    Raises:
        ValidationError: stray operators.
    """
    grid = (session.quantization.scale, session.quantization.zero_point)
    with scratch_folder("export") as scratch:
        raw = scratch / "model.tflite"
        convert_int8(onnx, training_samples(session, CONVERTER_SAMPLES), raw, input_quantization=grid)
        model = raw.read_bytes()
    check_operators(model, {op.kind.value for op in graph.ops})
    return model


def validation_score(session: Session, model: bytes) -> float:
    """Score of an INT8 file on the validation split, in LiteRT."""
    run = in_real_units(LiteRtModel(model).run, session.quantization.quantize, output_grid(model))
    return score(run, session.dataset.validation, session.data.metric).value


def output_grid(model: bytes) -> InputQuantization:
    """The int8 scale of a model's output."""
    detail = output_detail(model)
    return InputQuantization(detail.scale, detail.zero_point)


def training_samples(session: Session, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """At most so many clean training samples (n, h, w, c), spread evenly over the split, on the grid of the input."""
    rows = torch.linspace(0, session.samples - 1, min(count, session.samples)).long()
    features = session.data.dequantize(session.data.train_inputs[0, rows.to(session.device)])
    return np.ascontiguousarray(features.cpu().numpy().transpose(0, 2, 3, 1))


def write(converted: bytes, network: QuantizedNetwork) -> bytes:
    """The converter's file with the grids and integers of a network, whose weights it must have come to by itself.

    Raises:
        ValidationError: names the operator whose weights differ.
    """
    wanted, found = network.to_int8(), read_int8(converted, network.graph)
    for name, weights in wanted.weights.items():
        moved = np.abs(found.weights[name].values.astype(int) - weights.values)
        if moved.max() > 1 or moved.mean() > MOST_MOVED:
            raise ValidationError(
                f"the converter's weights of {name} are not those of the network: {np.mean(moved > 0):.1%} differ, by "
                f"up to {moved.max()}"
            )
    return write_int8(converted, wanted)


def save(network: QuantizedNetwork, path: Path) -> None:
    """Keep weights, biases and grids, so that the file can be made again."""
    grids = {f"grid.{i}": f"{grid.scale!r} {grid.zero_point}" for i, grid in enumerate(network.grids)}
    write_bytes(path, weights_file(network, grids))


def load(path: Path, graph: Graph) -> QuantizedNetwork:
    """What ``save`` wrote of a network of that graph.

    Raises:
        RunFolderError: the file is damaged, or of another network.
    """
    with readable_weights(path):
        with safe_open(path, "pt") as file:
            kept = file.metadata() or {}
        pairs = [kept[f"grid.{i}"].split() for i in range(len(graph.shapes))]
        grids = [Grid(float(scale), int(zero)) for scale, zero in pairs]
    if not all(math.isfinite(grid.scale) and grid.scale > 0 and abs(grid.zero_point) <= 128 for grid in grids):
        raise RunFolderError(f"{path}: holds a grid that no INT8 tensor has; train the network again")
    network = QuantizedNetwork(Network(graph), graph, grids)
    load_weights(network, path)
    return network


def _fine_tune(session: Session, network: QuantizedNetwork, checkpoint: Path, teacher: Network | None) -> list[Epoch]:
    """Train in place; a killed run goes on from its last epoch."""
    terms = session.recipe.fine_tuning
    recipe = session.recipe.with_(epochs=terms.epochs, learning_rate=terms.learning_rate)

    def on_epoch(epoch: Epoch) -> None:
        session.reporter.epoch("fine-tuning", epoch, recipe.epochs)

    history = train(network, session.data, recipe, session.seed + 1, on_epoch, checkpoint, session.runtime, teacher)
    network.eval()
    return history


def _tell(session: Session, tuning: FineTuning) -> None:
    before, after, wanted = (
        format_score(session.task.metric, each) for each in (tuning.before, tuning.after, tuning.float_score)
    )
    verdict = "" if tuning.taken else "; the file before it is kept"
    session.reporter.note(f"INT8 on the validation split: {before}, fine-tuned {after}, float {wanted}{verdict}")
