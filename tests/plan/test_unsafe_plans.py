"""Plans that are made unsafe on purpose: the verifier rejects them, and TensorFlow Lite Micro computes something else.

So what says that plans are safe can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from nas.export.model_reader import read_model
from nas.export.offline_plan import with_offline_plan
from nas.harness import identity
from nas.model_file import FileOp, ModelFile
from nas.plan import problem
from nas.plan.buffers import model_buffers
from nas.plan.distances import safe_distances
from nas.plan.placement import Buffer, Kernels, PlanKind, Planning
from nas.plan.planner import Plan, plan_model
from nas.plan.problem import Item, Neighbour, Overlaps, Problem, problem_of
from nas.plan.replay import Violation, verify

REFERENCE = Planning(PlanKind.OVERLAP, (Kernels.REFERENCE,))
SAMPLES = 100

Distances = Callable[[ModelFile, FileOp, Sequence[Kernels]], dict[int, int]]


class Network:
    """A file, what it computes of some random inputs, and which plan breaks that."""

    def __init__(self, content: bytes) -> None:
        self.content, self.model = content, read_model(content)
        self.inputs = identity.random_inputs(content)
        self.expected = identity.run_tflm(content, self.inputs)

    def violation(self, plan: Plan, kernels: Kernels = Kernels.REFERENCE) -> Violation | None:
        return verify(plan.apply(self.model), plan.placements, kernels)

    def differs(self, plan: Plan, samples: int = SAMPLES) -> bool:
        """Whether an output is not that of the file without a plan; the first ten inputs tell it most of the time."""
        written = with_offline_plan(self.content, plan.offsets, plan.order)
        for start in range(0, samples, 10):
            some = slice(start, min(start + 10, samples))
            if identity.run_tflm(written, self.inputs[some]) != self.expected[some]:
                return True
        return False


@pytest.fixture(scope="module")
def network(shared_data: Path) -> Callable[[str], Network]:
    """One of the reference networks; each is run once."""

    @cache
    def load(name: str) -> Network:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(identity, "SAMPLES", SAMPLES)
            return Network((shared_data / "models" / f"{name}.tflite").read_bytes())

    return load


def sixteen_bytes_less(model: ModelFile, op: FileOp, kernels: Sequence[Kernels]) -> dict[int, int]:
    return {tensor: max(by - 16, 0) for tensor, by in safe_distances(model, op, kernels).items()}


def in_place(*kinds: str) -> Distances:
    """As if operators of these kinds went through their input value by value."""

    def distances(model: ModelFile, op: FileOp, kernels: Sequence[Kernels]) -> dict[int, int]:
        return {op.inputs[0]: 0} if op.kind in kinds else safe_distances(model, op, kernels)

    return distances


def require_unsafe(network: Network, plan: Plan, kind: str = "") -> None:
    assert plan.planned_bytes <= plan_model(network.model, REFERENCE).planned_bytes
    found = network.violation(plan)
    assert found is not None
    assert kind in ("", found.kind)
    assert network.differs(plan)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kws_ref_model", "vww_96_int8", "pretrainedResnet_quant"])
def test_real_plans_break_nothing(network: Callable[[str], Network], name: str) -> None:
    tried = network(name)
    plan = plan_model(tried.model, REFERENCE)
    assert plan.offsets is not None
    assert tried.violation(plan) is None
    assert not tried.differs(plan)
    assert len(set(tried.expected)) >= 10  # they tell inputs apart


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kws_ref_model", "vww_96_int8", "str_ww_ref_model", "pretrainedResnet_quant"])
def test_distances_that_are_sixteen_bytes_too_small(
    network: Callable[[str], Network], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problem, "safe_distances", sixteen_bytes_less)
    plan = plan_model(network(name).model, REFERENCE)
    monkeypatch.undo()
    require_unsafe(network(name), plan)


def test_a_shortcut_that_is_forgotten(network: Callable[[str], Network], monkeypatch: pytest.MonkeyPatch) -> None:
    """Planned as if it were dead after its first reader, it is overwritten before it is added."""
    tried = network("pretrainedResnet_quant")
    monkeypatch.setattr(problem, "model_buffers", without_shortcuts)
    plan = plan_model(tried.model, REFERENCE)
    monkeypatch.undo()
    assert plan.planned_bytes < plan_model(tried.model, REFERENCE).planned_bytes
    require_unsafe(tried, plan, "ADD")


def without_shortcuts(model: ModelFile) -> list[Buffer]:
    """Buffers of a model whose additions read only what was written last."""
    writer = {tensor: position for position, op in enumerate(model.ops) for tensor in op.outputs}
    ops = [
        replace(op, inputs=(max(op.inputs, key=lambda tensor: writer.get(tensor, -1)),)) if op.kind == "ADD" else op
        for op in model.ops
    ]
    return model_buffers(replace(model, ops=tuple(ops)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ad01_int8", "FULLY_CONNECTED"),
        ("kws_ref_model", "FULLY_CONNECTED"),
        ("vww_96_int8", "FULLY_CONNECTED"),
        ("kws_ref_model", "CONV_2D"),
        ("vww_96_int8", "CONV_2D"),
        ("pretrainedResnet_quant", "CONV_2D"),
        ("kws_ref_model", "DEPTHWISE_CONV_2D"),
    ],
)
def test_kernels_that_do_not_go_value_by_value(
    network: Callable[[str], Network], name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problem, "safe_distances", in_place(kind))
    plan = plan_model(network(name).model, REFERENCE)
    monkeypatch.undo()
    require_unsafe(network(name), plan, kind)


@pytest.mark.parametrize("name", ["kws_ref_model", "vww_96_int8"])
def test_kernels_that_run_from_the_first_pixel_to_the_last(
    network: Callable[[str], Network], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if they began with the last one: the output runs into the input from above."""
    monkeypatch.setattr(problem, "problem_of", turned_round)
    plan = plan_model(network(name).model, REFERENCE)
    monkeypatch.undo()
    found = network(name).violation(plan)
    assert found is not None
    assert network(name).differs(plan)


def turned_round(items: Sequence[Item], overlaps: Overlaps) -> Problem:
    """As much overlap of the same items, at the other end."""
    real = problem_of(items, overlaps)
    neighbours = [list(near) for near in real.neighbours]
    for (i, j), distance in overlaps.items():
        above = max(items[j].size_bytes - (items[i].size_bytes - distance), 0)
        for one, other, up, down in ((i, j, above, items[i].size_bytes), (j, i, items[i].size_bytes, above)):
            position = next(k for k, near in enumerate(neighbours[one]) if near.item == other)
            neighbours[one][position] = Neighbour(other, up, down)
    return replace(real, neighbours=tuple(map(tuple, neighbours)))


@pytest.mark.parametrize("name", ["kws_ref_model", "vww_96_int8", "str_ww_ref_model"])
def test_plans_for_other_kernels(network: Callable[[str], Network], name: str) -> None:
    """What is safe on the reference kernels is not on CMSIS-NN; the wheel cannot show that, the verifier can."""
    tried = network(name)
    plan = plan_model(tried.model, REFERENCE)
    found = tried.violation(plan, Kernels.CMSIS_NN)
    assert found is not None
    assert found.kernels.startswith("cmsis-nn")
    assert tried.violation(plan, Kernels.NAS_C) is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kws_ref_model", "vww_96_int8"])
def test_offsets_that_slip_by_sixteen_bytes(network: Callable[[str], Network], name: str) -> None:
    """Each of the tensors that overlap in a plan, alone: the verifier sees it wherever the outputs do."""
    tried = network(name)
    plan = plan_model(tried.model, REFERENCE)
    assert plan.offsets is not None
    outcomes = set()
    for tensor, offset in enumerate(plan.offsets):
        if offset > 0:
            offsets = (*plan.offsets[:tensor], offset - 16, *plan.offsets[tensor + 1 :])
            placements = tuple(
                replace(place, offset=offset - 16) if place.tensor == tensor else place for place in plan.placements
            )
            slipped = replace(plan, offsets=offsets, placements=placements)
            outcomes.add((tried.violation(slipped) is None, not tried.differs(slipped, 10)))
    assert (True, False) not in outcomes
    assert (False, False) in outcomes
