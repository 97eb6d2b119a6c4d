"""Plans of whole models: small, safe, quick, and obeyed by TensorFlow Lite Micro to the byte."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_files import Sketch, branching_file, cell_network, mixed_file, residual_network

from nas.errors import InputError
from nas.export.model_reader import read_model
from nas.export.offline_plan import with_offline_plan
from nas.harness.identity import prove_identical, random_inputs, run_tflm
from nas.harness.tflm import measure_arena
from nas.model_file import FileOp, ModelFile
from nas.plan.greedy import planned_bytes, tflm_placements
from nas.plan.placement import Kernels, PlanKind, Planning
from nas.plan.planner import Plan, plan_model
from nas.plan.replay import verify

MODELS = Path(__file__).parents[1] / "data" / "models"
MADE = sorted(path.stem for path in MODELS.glob("*.tflite"))
RUN_BY_TFLM = [name for name in MADE if name != "custom"]
GREEDY, PACKED, DEFAULT = Planning(PlanKind.GREEDY), Planning(PlanKind.PACKED), Planning()
REFERENCE, CMSIS_NN, NAS_C = (Planning(PlanKind.OVERLAP, (one,)) for one in Kernels)
EVERY_SET = Planning(PlanKind.OVERLAP, tuple(Kernels))
PLANNINGS = {
    "greedy": GREEDY,
    "packed": PACKED,
    "default": DEFAULT,
    "reference": REFERENCE,
    "cmsis-nn": CMSIS_NN,
    "nas-c": NAS_C,
    "every set": EVERY_SET,
}

# Bytes planned by TFLM, packed, with overlaps that are safe on reference kernels and CMSIS-NN, on the former alone
REFERENCES = {
    "ad01_int8": (768, 768, 768, 768),
    "kws_ref_model": (16_000, 16_000, 16_000, 9_792),
    "pretrainedResnet_large_int8": (122_880, 122_880, 83_280, 83_280),
    "pretrainedResnet_quant": (49_152, 49_152, 33_312, 33_312),
    "str_ww_ref_model": (6_656, 6_656, 6_656, 3_840),
    "vww_96_int8": (73_728, 55_296, 55_296, 36_880),
}


def content_of(folder: Path, name: str) -> bytes:
    return (folder / f"{name}.tflite").read_bytes()


def greedy_bytes(model: ModelFile) -> int:
    return planned_bytes(tflm_placements(replace(model, offline_offsets=None)))


def kernels_of(planning: Planning) -> Sequence[Kernels]:
    """Those on which a plan must be safe: all, if nothing overlaps."""
    return planning.overlapping or tuple(Kernels)


def require_sound(model: ModelFile, planning: Planning, plan: Plan | None = None) -> Plan:
    """Never worse than TFLM, nothing lost, and what TFLM makes of it is what the plan says."""
    plan = plan or plan_model(model, planning)
    planned = plan.apply(model)
    assert plan.planned_bytes <= greedy_bytes(model)
    assert plan.placements == tflm_placements(planned)
    assert planned.offline_offsets == plan.offsets
    assert (plan.offsets is None) == (plan.planned_bytes == greedy_bytes(model))
    assert plan.reordered == (planned.ops != model.ops)
    for kernels in kernels_of(planning):
        assert verify(planned, plan.placements, kernels) is None
    return plan


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("planning", PLANNINGS.values(), ids=PLANNINGS)
def test_made_models_are_planned_no_worse_than_by_tflm(name: str, planning: Planning) -> None:
    require_sound(read_model(content_of(MODELS, name)), planning)


@pytest.mark.parametrize("name", REFERENCES)
def test_planned_bytes_of_the_reference_networks(shared_data: Path, name: str) -> None:
    model = read_model(content_of(shared_data / "models", name))
    plans = [require_sound(model, one) for one in (GREEDY, PACKED, DEFAULT, REFERENCE)]
    assert tuple(plan.planned_bytes for plan in plans) == REFERENCES[name]
    for one in (CMSIS_NN, NAS_C, EVERY_SET):
        require_sound(model, one)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), ops=st.integers(1, 14), planning=st.sampled_from(list(PLANNINGS.values())))
def test_random_branching_models(seed: int, ops: int, planning: Planning) -> None:
    require_sound(branching_file(np.random.default_rng(seed), ops), planning)


@pytest.mark.parametrize("planning", PLANNINGS.values(), ids=PLANNINGS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), ops=st.integers(1, 14))
def test_random_models_of_all_kinds(seed: int, ops: int, planning: Planning) -> None:
    require_sound(mixed_file(np.random.default_rng(seed), ops), planning)


def test_reshaping_a_result_is_a_copy() -> None:
    """Both are results; their values are the same, but the verifier tells tensors apart."""
    sketch = Sketch()
    image = sketch.tensor(1, 5, 4, 5)
    x = sketch.reshape(image, 1, 100)
    y = sketch.reshape(x, 1, 1, 1, 100)
    assert require_sound(sketch.file([image], [x, y]), REFERENCE).planned_bytes == 2 * 112
    assert require_sound(sketch.file([image], [y]), REFERENCE).planned_bytes == 112


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), ops=st.integers(1, 14))
def test_whoever_may_do_more_needs_no_more(seed: int, ops: int) -> None:
    """Greedy, packed, every kernel set, two, one."""
    model = branching_file(np.random.default_rng(seed), ops)
    heights = [plan_model(model, one).planned_bytes for one in (GREEDY, PACKED, EVERY_SET, DEFAULT, REFERENCE)]
    assert heights == sorted(heights, reverse=True)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_results_that_are_read_again_stay(seed: int) -> None:
    """Any tensor may be a result too."""
    rng = np.random.default_rng(seed)
    model = branching_file(rng, 8)
    written = [op.outputs[0] for op in model.ops]
    outputs = dict.fromkeys([*rng.choice(written, 3).tolist(), *model.outputs])
    require_sound(replace(model, outputs=tuple(outputs)), REFERENCE)


@pytest.mark.parametrize("name", RUN_BY_TFLM)
def test_tflm_plans_made_models_as_foretold(name: str) -> None:
    """Scratch buffers of kernels among them, which TFLM places by itself around the plan."""
    content = content_of(MODELS, name)
    plans = {plan_model(read_model(content), one) for one in (PACKED, DEFAULT, REFERENCE)}
    for plan in plans:
        if plan.offsets is not None:
            written = with_offline_plan(content, plan.offsets, plan.order)
            assert measure_arena(written).activation_bytes == plan.planned_bytes


@pytest.mark.parametrize(
    ("name", "planning"),
    [
        pytest.param("vww_96_int8", PACKED, id="vww_96_int8-packed"),
        *(pytest.param(name, REFERENCE, id=f"{name}-reference") for name in REFERENCES),
    ],
)
def test_tflm_obeys_the_plans_of_the_reference_networks(shared_data: Path, name: str, planning: Planning) -> None:
    """It takes as much memory as foretold, and computes the same."""
    content = content_of(shared_data / "models", name)
    plan = plan_model(read_model(content), planning)
    written = with_offline_plan(content, plan.offsets, plan.order)
    assert measure_arena(written).activation_bytes == plan.planned_bytes
    inputs = random_inputs(content)[: 4 if len(content) < 200_000 else 2]
    assert run_tflm(written, inputs) == run_tflm(content, inputs)


def test_no_runtime_computes_anything_else_with_a_plan(shared_data: Path) -> None:
    content = content_of(shared_data / "models", "kws_ref_model")
    plan = plan_model(read_model(content), REFERENCE)
    proof = prove_identical(content, with_offline_plan(content, plan.offsets, plan.order))
    assert len(proof.identical) == 3
    assert proof.distinct > 10


@pytest.mark.parametrize("name", ["residual_concat", "strided_slice", "arithmetic", "int16"])
def test_made_models_compute_the_same_with_their_plan(name: str) -> None:
    """In another order of operators, over reshaped tensors, beside scratch buffers."""
    content = content_of(MODELS, name)
    plan = plan_model(read_model(content), REFERENCE)
    assert plan.offsets is not None
    inputs = random_inputs(content)
    assert run_tflm(with_offline_plan(content, plan.offsets, plan.order), inputs) == run_tflm(content, inputs)


def test_operators_of_made_models_are_reordered() -> None:
    assert [name for name in MADE if plan_model(read_model(content_of(MODELS, name))).reordered] == [
        "arithmetic",
        "residual_concat",
    ]


def test_scratch_buffers_count() -> None:
    """A mean of 64 channels needs 256 bytes for its sums, beside its input and output."""
    sketch = Sketch()
    image = sketch.tensor(1, 6, 6, 64)
    x = sketch.window("CONV_2D", image, 64)
    model = sketch.file([image], [sketch.same("SOFTMAX", sketch.mean(x))])
    plan = require_sound(model, REFERENCE)
    scratch = [place for place in plan.placements if place.tensor < 0]
    assert sum(place.size_bytes for place in scratch) == 256 + 16 + 16
    assert plan.planned_bytes == max(2_304 + 512, 2_304 + 64 + 288)


def test_a_plan_in_the_file_is_not_looked_at() -> None:
    model = read_model(content_of(MODELS, "offline_plan"))
    assert plan_model(model) == plan_model(replace(model, offline_offsets=None))
    assert plan_model(model, GREEDY).apply(model).offline_offsets is None


def test_the_plan_is_the_same_every_time() -> None:
    model = residual_network(8)
    assert plan_model(model, REFERENCE) == plan_model(model, REFERENCE)


@pytest.mark.parametrize("planning", PLANNINGS.values(), ids=PLANNINGS)
def test_several_subgraphs_are_refused(planning: Planning) -> None:
    model = replace(read_model(content_of(MODELS, "svdf")), subgraphs=3)
    with pytest.raises(InputError, match="the model has 3 subgraphs: TFLM obeys a memory plan only where there is one"):
        plan_model(model, planning)


def test_a_damaged_model_is_refused() -> None:
    sketch = Sketch()
    x = sketch.tensor(1, 4, 4, 4)
    sketch.op("CONV_2D", (x,), sketch.tensor(1, 4, 4, 4), strideH=1, strideW=1)
    with pytest.raises(InputError, match="damaged model: CONV_2D without its input 1"):
        plan_model(sketch.file([x], [1]))
    model = replace(sketch.file([x], [1]), ops=(FileOp("AVERAGE_POOL_2D", (x,), (1,), {}),))
    with pytest.raises(InputError, match="damaged model: 'filterHeight'"):
        plan_model(model)


def plan_within(seconds: float, model: ModelFile, planning: Planning) -> Plan:
    """In processor time, which other work on the machine does not stretch."""
    started = time.process_time()
    plan = plan_model(model, planning)
    assert time.process_time() - started < seconds
    return plan


@pytest.mark.parametrize("planning", PLANNINGS.values(), ids=PLANNINGS)
def test_thirty_operators_take_a_tenth_of_a_second(shared_data: Path, planning: Planning) -> None:
    model = read_model(content_of(shared_data / "models", "vww_96_int8"))
    assert len(model.ops) >= 30
    plan_within(0.1, model, planning)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "planning"),
    [
        (residual_network(32), DEFAULT),
        (cell_network(np.random.default_rng(1), 13, 3), PACKED),
        (cell_network(np.random.default_rng(0), 10, 4), DEFAULT),
        (cell_network(np.random.default_rng(0), 7, 6), REFERENCE),
    ],
    ids=["residual", "cells of 3", "cells of 4", "cells of 6"],
)
def test_a_hundred_and_fifty_operators_take_two_seconds(model: ModelFile, planning: Planning) -> None:
    assert 145 <= len(model.ops) <= 165
    require_sound(model, planning, plan_within(2, model, planning))


def test_branching_networks_gain_from_order_and_overlap() -> None:
    """TFLM, packed, with overlaps on reference kernels."""
    model = cell_network(np.random.default_rng(2), 4, 4)
    plans = [plan_model(model, one) for one in (GREEDY, PACKED, REFERENCE)]
    assert [plan.planned_bytes for plan in plans] == [24_576, 18_432, 16_384]
    assert plans[1].reordered
