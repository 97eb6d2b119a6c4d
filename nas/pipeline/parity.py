"""The parity gate: an exported network runs in every runtime, on the same samples, and must give the same outputs.

Where it does not, the layers of both runtimes are compared, and the error names the first that differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.export.int8_file import file_tensors, read_int8
from nas.export.layer_parity import Trace, begins_at
from nas.export.parity import Array, check, compare, default_bounds
from nas.harness.litert import LiteRtModel
from nas.harness.onnx_runtime import run_onnx, trace_onnx
from nas.harness.tflm import TflmModel
from nas.models.int8 import Int8Model, run_int8
from nas.models.network import Network
from nas.space.graph import Graph
from nas.training.data import TrainingData
from nas.training.loop import full_precision, predict

PARITY_SAMPLES = 100  # validation samples; TFLM runs about 300 keyword clips a second
TRACED_SAMPLES = 16  # of them, layer by layer: 0.1 to 2.1 s for twelve trained networks

Int8Array = np.ndarray[Any, np.dtype[np.int8]]


@dataclass(frozen=True)
class Exported:
    """A trained network and its files."""

    network: Network
    graph: Graph
    model: bytes
    """The INT8 ``.tflite`` file."""
    onnx_path: Path


def measure_parity(exported: Exported, data: TrainingData, classes: bool) -> dict[str, Any]:
    """Outputs of torch, ONNX, LiteRT, TFLM and the simulation on the same samples, compared and held to the bounds.

    Args:
        exported: what is compared.
        data: whose validation samples are run.
        classes: whether outputs are probabilities of classes.

    Returns:
        What ``validation.json`` keeps: the figures of every pair of runtimes, and of every layer.

    Raises:
        ValidationError: a pair of runtimes disagrees beyond its bound; names the first layer that differs.
    """
    int8, inputs = read_int8(exported.model, exported.graph), data.validation.inputs[:PARITY_SAMPLES]
    outputs = _outputs(exported, int8, data, inputs)

    def cause(first: str, second: str) -> str:
        distance = np.abs(outputs[first] - outputs[second]).max(axis=1)
        rows = np.argsort(-distance)[:TRACED_SAMPLES]
        trace = trace_layers(exported, int8, data, inputs[torch.from_numpy(rows)])
        if second == "tflm" and not np.array_equal(outputs["tflm"][rows], trace.real["tflm"][-1]):
            return "begins in the memory plan of the file: without it TFLM gives other outputs"
        return str(begins_at(trace, first, second) or "no layer by itself differs by more than it may")

    report = compare(outputs, "torch")
    check(report, default_bounds(outputs, int8.grids[-1].scale, classes), cause)
    traced = inputs[:TRACED_SAMPLES]
    layers = trace_layers(exported, int8, data, traced).figures()
    return {**report.to_dict(), "layer_samples": len(traced), "layers": layers}


def trace_layers(exported: Exported, int8: Int8Model, data: TrainingData, inputs: Tensor) -> Trace:
    """Run INT8 inputs (n, c, h, w) in every runtime and keep what each layer gives."""
    model, graph, network = exported.model, exported.graph, exported.network.eval()
    places, features = file_tensors(model, graph), data.dequantize(inputs)
    integers = {
        "litert": LiteRtModel(model, "reference", every_tensor=True).trace(nhwc(inputs), places),
        "tflm": TflmModel(model, every_tensor=True).trace(nhwc(inputs), places),
        "simulation": [values.reshape(len(values), -1) for values in run_int8(int8, nhwc(inputs))],
    }
    real = {
        name: [grid.real(values) for grid, values in zip(int8.grids, integers[name], strict=True)]
        for name in ("litert", "tflm")
    }
    with torch.inference_mode(), full_precision(inputs.device):
        in_torch = _rows(network.trace(features))
        alone = {name: _rows(network.alone(_maps(graph, values, inputs.device))) for name, values in real.items()}
    in_onnx = trace_onnx(exported.onnx_path, graph, features.cpu().numpy())
    real |= {"torch": in_torch, "onnx": _rows([features, *map(torch.from_numpy, in_onnx)])}
    return Trace(graph.ops, real, alone, integers, [grid.ends for grid in int8.grids])


def nhwc(inputs: Tensor) -> Int8Array:
    """INT8 (n, c, h, w) on any device -> (n, h, w, c) as TFLite takes it."""
    return np.ascontiguousarray(inputs.cpu().numpy().transpose(0, 2, 3, 1))


def _outputs(exported: Exported, int8: Int8Model, data: TrainingData, inputs: Tensor) -> dict[str, Array]:
    """Outputs (n, k) in real units of every runtime."""
    samples, real = nhwc(inputs), int8.grids[-1].real
    chunks = range(0, len(samples), TRACED_SAMPLES)  # as the simulation keeps all tensors of its samples
    return {
        "torch": predict(exported.network, data, inputs).cpu().numpy(),
        "onnx": run_onnx(exported.onnx_path, data.dequantize(inputs).cpu().numpy()),
        "litert": real(LiteRtModel(exported.model, kernels="reference").run(samples)),
        "simulation": real(np.concatenate([run_int8(int8, samples[i : i + TRACED_SAMPLES])[-1] for i in chunks])),
        "tflm": real(TflmModel(exported.model).run(samples)),
    }


def _rows(maps: Sequence[Tensor]) -> list[Array]:
    """(n, c, h, w) or (n, k) -> (n, values) in the order of TFLite."""
    return [values.movedim(1, -1).flatten(1).cpu().numpy() for values in maps]


def _maps(graph: Graph, rows: Sequence[Array], device: torch.device) -> list[Tensor]:
    """What ``_rows`` was made of, for each tensor of the graph."""
    shaped = (torch.from_numpy(values).reshape(-1, *shape) for values, shape in zip(rows, graph.shapes, strict=True))
    return [values.movedim(-1, 1).to(device) for values in shaped]
