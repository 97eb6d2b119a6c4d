from __future__ import annotations

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from nas.export.flatbuffer import input_detail, load, operator_name, operator_names, tensors
from nas.export.slim import slim
from nas.harness.litert import LiteRtModel
from nas.harness.tflm import TflmModel

# Bytes of the options table of each operator, and of its layout once per kind.
OPTIONS_BYTES = {
    "CONV_2D": (32, 20),
    "DEPTHWISE_CONV_2D": (32, 20),
    "AVERAGE_POOL_2D": (28, 16),
    "FULLY_CONNECTED": (12, 16),
    "ADD": (8, 8),
    "SOFTMAX": (8, 0),  # laid out like a buffer
    "RESHAPE": (
        8,
        8,
    ),  # the reference networks have none, but an operator and a tensor without it, laid out otherwise
}


def up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def predicted_bytes(model: bytes) -> int:
    """The table in the docstring of nas.export.slim, read from the tensors and operators of a model."""
    total, widths, tree = 204, set(), load(model)
    for tensor in tensors(model):
        total += 28 + 4 * len(tensor.shape)
        total += 12 + up(4 + tensor.data_bytes, 16) if tensor.data_bytes else 0
        total += 20 + 4 * len(tensor.scales) if tensor.scales else 0
        total += 16 if len(tensor.scales) == 1 else 0
        widths |= {len(tensor.scales)} - {0, 1}
    total += sum(8 + 8 * width for width in widths)
    operators = tree.subgraphs[0].operators
    total += sum(40 + 4 * len(op.inputs) + OPTIONS_BYTES[operator_name(tree, op)][0] for op in operators)
    total += sum(20 + OPTIONS_BYTES[name][1] for name in set(operator_names(model)))
    return up(total, 16)


def pack(tree: object) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")  # type: ignore[attr-defined]
    return bytes(builder.Output())


def samples(model: bytes, count: int = 6) -> np.ndarray:
    shape = (count, *input_detail(model).shape[1:])
    return np.random.default_rng(0).integers(-128, 128, shape, dtype=np.int8)


@pytest.mark.slow
def test_every_runtime_computes_the_same_bits(model: bytes, reference_models: dict[str, bytes]) -> None:
    for name, original in {"ours": model, **reference_models}.items():
        small, inputs = slim(original), samples(original)
        assert np.array_equal(TflmModel(small).run(inputs), TflmModel(original).run(inputs)), name
        for kernels in ("xnnpack", "reference"):
            before, after = (LiteRtModel(file, kernels).run(inputs) for file in (original, small))
            assert np.array_equal(before, after), (name, kernels)


@pytest.mark.slow
def test_size_is_predicted_to_the_byte(model: bytes) -> None:
    assert len(slim(model)) == predicted_bytes(model)


def test_size_of_reference_networks_is_predicted_to_the_byte(reference_models: dict[str, bytes]) -> None:
    for name, original in reference_models.items():
        assert len(slim(original)) == predicted_bytes(original), name
        assert len(slim(original)) < len(original), name


@pytest.mark.slow
def test_slimming_again_changes_nothing(model: bytes) -> None:
    assert slim(slim(model)) == slim(model)


@pytest.mark.slow
def test_weights_scales_and_order_survive(model: bytes) -> None:
    assert tensors(slim(model)) == tensors(model)
    assert operator_names(slim(model)) == operator_names(model)


@pytest.mark.slow
def test_a_memory_plan_survives(model: bytes) -> None:
    tree, plan = load(model), np.arange(40, dtype=np.uint8)
    tree.buffers.append(schema.BufferT(data=plan))
    tree.metadata = [schema.MetadataT(name=b"OfflineMemoryAllocation", buffer=len(tree.buffers) - 1)]
    kept = load(slim(pack(tree)))
    assert [item.name for item in kept.metadata] == [b"OfflineMemoryAllocation"]
    assert np.array_equal(kept.buffers[kept.metadata[0].buffer].data, plan)
