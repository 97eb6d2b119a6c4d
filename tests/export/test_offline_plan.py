"""A memory plan is written where TensorFlow Lite Micro finds it, and changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import flatbuffers
import numpy as np
import pytest

from nas.errors import InputError
from nas.export.flatbuffer import load, operator_names
from nas.export.model_reader import read_model
from nas.export.offline_plan import with_offline_plan
from nas.export.slim import slim
from nas.harness.identity import random_inputs, run_litert, run_tflm
from nas.harness.tflm import measure_arena
from nas.model_file import ModelFile, tensor_bytes
from nas.plan.placement import Kernels, PlanKind, Planning
from nas.plan.planner import plan_model

MODELS = Path(__file__).parents[1] / "data" / "models"
MADE = sorted(path.stem for path in MODELS.glob("*.tflite"))
REFERENCE = Planning(PlanKind.OVERLAP, (Kernels.REFERENCE,))
PLAN = 76  # bytes beside the buffer: its name, a metadata table, a buffer table, and its place in the model's table


def content_of(name: str) -> bytes:
    return (MODELS / f"{name}.tflite").read_bytes()


def some_offsets(model: ModelFile) -> list[int]:
    """Any numbers will do where nothing is run."""
    return [16 * (index + 1) if not tensor.data_bytes else -1 for index, tensor in enumerate(model.tensors)]


@pytest.mark.parametrize("name", MADE)
def test_what_is_written_is_read_back(name: str) -> None:
    before = read_model(slim(content_of(name)))
    offsets = some_offsets(before)
    after = read_model(with_offline_plan(content_of(name), offsets))
    assert after.offline_offsets == tuple(offsets)
    assert (after.tensors, after.ops) == (before.tensors, before.ops)
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)


@pytest.mark.parametrize("name", MADE)
def test_a_plan_takes_four_bytes_for_each_tensor(name: str) -> None:
    """And 76 beside, up to the alignment of the file."""
    model = read_model(content_of(name))
    bare, planned = (with_offline_plan(content_of(name), offsets) for offsets in (None, some_offsets(model)))
    assert abs(len(planned) - len(bare) - plan_bytes(model)) <= 12
    assert len(planned) % 16 == 0


def plan_bytes(model: ModelFile) -> int:
    return PLAN + -(-(4 + 12 + 4 * len(model.tensors)) // 16) * 16


def test_size_of_a_reference_network_with_a_plan(shared_data: Path) -> None:
    """A slim one ends at a multiple of 16, as does one with a plan: 12 of its bytes are lost or 4 are padding."""
    for path in (shared_data / "models").glob("*.tflite"):
        content = path.read_bytes()
        model = read_model(content)
        more = len(with_offline_plan(content, some_offsets(model))) - len(slim(content))
        assert more - plan_bytes(model) in (-12, 4)
        assert with_offline_plan(content, None) == slim(content)


def test_the_metadata_is_what_tflm_reads() -> None:
    """Version, subgraph, number of tensors, offsets: int32, little-endian, aligned to 16 in the file."""
    offsets = some_offsets(read_model(content_of("uint8_io")))
    content = with_offline_plan(content_of("uint8_io"), offsets)
    tree = load(content)
    (note,) = tree.metadata
    assert note.name == b"OfflineMemoryAllocation"
    words = np.array([1, 0, len(offsets), *offsets], "<i4").tobytes()
    assert bytes(tree.buffers[note.buffer].data) == words
    assert content.find(words) % 16 == 0
    assert content.count(words) == 1


def test_a_plan_takes_the_place_of_another() -> None:
    model = read_model(content_of("offline_plan"))
    assert model.offline_offsets is not None
    once = with_offline_plan(content_of("offline_plan"), some_offsets(model))
    assert read_model(once).offline_offsets == tuple(some_offsets(model))
    assert len(load(once).metadata) == 1
    twice = with_offline_plan(once, model.offline_offsets)
    assert read_model(twice).offline_offsets == model.offline_offsets
    assert len(once) == len(twice)
    assert with_offline_plan(twice, some_offsets(model)) == once


@pytest.mark.parametrize("name", MADE)
def test_without_offsets_there_is_no_plan_left(name: str) -> None:
    model = read_model(content_of(name))
    bare = with_offline_plan(with_offline_plan(content_of(name), some_offsets(model)), None)
    assert bare == with_offline_plan(content_of(name), None) == slim(bare)
    assert not load(bare).metadata
    expected = replace(read_model(slim(content_of(name))), file_bytes=len(bare), offline_offsets=None)
    assert read_model(bare) == expected


def test_a_plan_survives_slimming_again() -> None:
    content = content_of("residual_concat")
    planned = with_offline_plan(content, some_offsets(read_model(content)))
    assert slim(planned) == planned


def test_operators_are_written_in_their_new_order() -> None:
    content = with_offline_plan(content_of("shapes"), None)
    order = range(len(operator_names(content)))[::-1]
    turned = with_offline_plan(content, None, order)
    assert operator_names(turned) == operator_names(content)[::-1]
    assert read_model(turned).ops == read_model(content).ops[::-1]
    assert read_model(with_offline_plan(turned, None, order)).ops == read_model(content).ops


def test_the_given_order_changes_nothing() -> None:
    content = content_of("residual_concat")
    assert with_offline_plan(content, None, range(len(operator_names(content)))) == with_offline_plan(content, None)


@pytest.mark.parametrize("more", [-1, 1])
def test_a_plan_for_another_number_of_tensors(more: int) -> None:
    count = len(read_model(content_of("svdf")).tensors)
    with pytest.raises(InputError, match=rf"a plan of {count + more} offsets for a model of {count} tensors"):
        with_offline_plan(content_of("svdf"), [0] * (count + more))


def test_what_is_no_model() -> None:
    with pytest.raises(InputError):
        with_offline_plan(b"not a model", None)


@pytest.mark.parametrize("name", ["residual_concat", "float_cnn", "int16", "strided_slice"])
def test_litert_does_not_mind(name: str) -> None:
    """It plans by itself, whatever the metadata says; the order of operators may be another."""
    content = content_of(name)
    plan = plan_model(read_model(content), REFERENCE)
    written = with_offline_plan(content, plan.offsets or some_offsets(read_model(content)), plan.order)
    inputs = random_inputs(content)
    assert run_litert(written, inputs) == run_litert(content, inputs)


def test_tflm_and_litert_compute_the_same_bits_with_a_plan(shared_data: Path) -> None:
    content = (shared_data / "models" / "kws_ref_model.tflite").read_bytes()
    plan = plan_model(read_model(content), REFERENCE)
    written = with_offline_plan(content, plan.offsets, plan.order)
    inputs = random_inputs(content)
    for run in (run_tflm, run_litert):
        assert run(written, inputs) == run(content, inputs)
    assert measure_arena(written).total_bytes < measure_arena(content).total_bytes - 6_000


def test_tflm_obeys_offsets_as_they_are() -> None:
    """Far apart and not in order, so that there is no doubt whose plan it follows."""
    content = content_of("uint8_io")
    model = read_model(content)
    offsets = [-1 if tensor.data_bytes else 4_096 * (9 - index) for index, tensor in enumerate(model.tensors)]
    ends = [at + tensor_bytes(tensor) for at, tensor in zip(offsets, model.tensors, strict=True) if at >= 0]
    head = measure_arena(with_offline_plan(content, offsets)).activation_bytes
    assert max(ends) <= head < max(ends) + 16


def test_a_model_with_several_subgraphs_keeps_them() -> None:
    """Although TFLM obeys no plan in it, so that none is made."""
    tree = load(content_of("svdf"))
    tree.subgraphs = [*tree.subgraphs, *load(content_of("svdf")).subgraphs]
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    assert read_model(with_offline_plan(bytes(builder.Output()), None)).subgraphs == 2
