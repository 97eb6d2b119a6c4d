"""Flash: bytes of the ``.tflite`` that our exporter writes (weights, quantisation, the file's own structure)."""

from __future__ import annotations

from nas.space.graph import Graph


def flash_bytes(graph: Graph) -> int:
    """Size of the exported file."""
    return sum(op.weight_count + 4 * op.bias_count + 12 * op.bias_count + 330 for op in graph.ops) + 1000
