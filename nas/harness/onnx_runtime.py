"""Runs an exported ONNX file in ONNX Runtime, the float half of the parity gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nas.export.onnx_export import layer_outputs
from nas.space.graph import Graph

Float32Array = np.ndarray[Any, np.dtype[np.float32]]


def run_onnx(path: Path, features: Float32Array) -> Float32Array:
    """Outputs (n, classes) for features (n, c, h, w), one sample at a time as the file has batch 1."""
    return _run(path.read_bytes(), None, features)[0]


def trace_onnx(path: Path, graph: Graph, features: Float32Array) -> list[Float32Array]:
    """What each operator of ``graph`` gives in its exported file: (n, c, h, w) or (n, k).

    Raises:
        ValidationError: the nodes of the file are not those of the graph.
    """
    import onnx

    model = onnx.load(path)
    names = layer_outputs(model, graph)
    given = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    return _run(model.SerializeToString(), names, features)


def _run(model: bytes, names: list[str] | None, features: Float32Array) -> list[Float32Array]:
    """The outputs of these names, ``None`` for those of the file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = [session.run(names, {name: sample[np.newaxis]}) for sample in features]
    return [np.concatenate(values) for values in zip(*outputs, strict=True)]
