"""Writes a torch network as an ONNX file, the first step on the way to the microcontroller."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import ValidationError
from nas.files import write_bytes
from nas.space.graph import Graph, OpKind

if TYPE_CHECKING:
    import torch

OPSET = 18  # what the dynamo exporter of torch writes without a conversion pass
INPUT_NAME = "input"
ONNX_NAMES = {
    OpKind.CONV_2D: "Conv",
    OpKind.DEPTHWISE_CONV_2D: "Conv",
    OpKind.FULLY_CONNECTED: "Gemm",
    OpKind.AVERAGE_POOL_2D: "AveragePool",
    OpKind.ADD: "Add",
    OpKind.PAD: "Pad",
    OpKind.SOFTMAX: "Softmax",
}


def export_onnx(network: torch.nn.Module, input_shape: tuple[int, int, int], path: Path) -> None:
    """Export a network at batch size 1; the same weights give the same bytes.

    A copy is exported in evaluation mode on the CPU: the caller's network keeps its modes and its device.
    Batch normalisation is folded into the convolutions, and ``F.pad`` into their ``pads``.

    Args:
        network: maps (n, c, h, w) float32 to (n, classes), logits or softmax.
        input_shape: (h, w, c), the order of TFLite.
        path: written atomically.
    """
    import torch

    height, width, channels = input_shape
    example = torch.zeros(1, channels, height, width)
    with _quiet():
        program = torch.onnx.export(
            copy.deepcopy(network).cpu().eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=[INPUT_NAME],
            output_names=["output"],
            verbose=False,
        )
        assert program is not None, "torch.onnx.export returns a program when dynamo=True"
        model = program.model_proto
    _strip_notes(model)
    write_bytes(path, model.SerializeToString(deterministic=True))


def layer_outputs(model: Any, graph: Graph) -> list[str]:
    """Names in an exported ``onnx.ModelProto`` of what each operator of ``graph`` gives, after its ReLU.

    Nodes stand in the order in which the layers were called; between them stand reshapes.

    Raises:
        ValidationError: the nodes are not those of the graph.
    """
    names, nodes = [], iter(model.graph.node)
    for op in graph.ops:
        for wanted in (ONNX_NAMES[op.kind], *(["Relu"] if op.relu else [])):
            outputs: Any = next((node.output for node in nodes if node.op_type == wanted), None)
            if outputs is None:
                raise ValidationError(f"the ONNX file has no {wanted} for {op.name} ({op.kind.value}) of its network")
        names.append(outputs[0])
    return names


def _strip_notes(model: Any) -> None:
    """Drop the exporter's notes: they hold stack traces, and so the paths of the exporting machine."""
    graph = model.graph
    for item in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
    ):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says about itself: no torchvision, and its own use of a deprecated call."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*treespec, LeafSpec.*", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
