"""Another order of operators, where one needs less, and never a wrong one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_files import Sketch, branching_file, residual_network

from nas.export.model_reader import read_model
from nas.model_file import FileOp, FileTensor, ModelFile
from nas.plan import order as module
from nas.plan.order import MOST_TRIED, _Graph, _State, best_order
from nas.plan.placement import Kernels, PlanKind, Planning
from nas.plan.planner import plan_model
from nas.plan.problem import make_problem
from nas.plan.replay import verify

MODELS = Path(__file__).parents[1] / "data" / "models"
SETS = [(), (Kernels.REFERENCE,)]
SEEDS = st.integers(0, 2**32)


def in_order(model: ModelFile, order: tuple[int, ...]) -> ModelFile:
    return replace(model, ops=tuple(model.ops[position] for position in order))


def given_order(model: ModelFile) -> tuple[int, ...]:
    return tuple(range(len(model.ops)))


def is_topological(model: ModelFile, order: tuple[int, ...]) -> bool:
    """Whether every operator runs once, after all that write what it reads."""
    written = {tensor for op in model.ops for tensor in op.outputs}
    there = {tensor for tensor in range(-1, len(model.tensors)) if tensor not in written}
    for op in in_order(model, order).ops:
        if not there.issuperset(op.inputs):
            return False
        there |= set(op.outputs)
    return sorted(order) == list(given_order(model))


def every_order(model: ModelFile, done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    written = {
        tensor for position in range(len(model.ops)) if position not in done for tensor in model.ops[position].outputs
    }
    rest = [position for position in range(len(model.ops)) if position not in done]
    if not rest:
        yield done
    for position in rest:
        if not written & set(model.ops[position].inputs):
            yield from every_order(model, (*done, position))


def two_branches() -> ModelFile:
    """Two expansions of one map, each of which is reduced again; both run before either is reduced."""
    sketch = Sketch()
    image = sketch.tensor(1, 8, 8, 2)
    wide = [sketch.window("CONV_2D", image, 16, (1, 1)) for _ in range(2)]
    narrow = [sketch.window("CONV_2D", x, 2, (1, 1)) for x in wide]
    return sketch.file([image], [sketch.same("ADD", *narrow)])


@pytest.mark.parametrize("kernels", SETS)
def test_one_branch_is_finished_before_the_other_begins(kernels: tuple[Kernels, ...]) -> None:
    model = two_branches()
    order = best_order(model, kernels)
    assert order in ((0, 2, 1, 3, 4), (1, 3, 0, 2, 4))
    before, after = (make_problem(one, kernels).least_bytes for one in (model, in_order(model, order)))
    # of four maps of 1,024 bytes and some of 128, only one large one is left alive at a time
    assert (before, after) == ((2_176, 1_280) if not kernels else (2_048 + 16, 1_024 + 128 + 16))


def test_the_planner_uses_it_and_the_verifier_accepts_it() -> None:
    model, planning = two_branches(), Planning(PlanKind.OVERLAP, (Kernels.REFERENCE,))
    plan = plan_model(model, planning)
    assert plan.reordered
    assert plan.planned_bytes < 1_280 < plan_model(model, Planning(PlanKind.GREEDY)).planned_bytes
    ordered = plan.apply(model)
    assert [op.outputs for op in ordered.ops] == [model.ops[position].outputs for position in plan.order]
    assert verify(ordered, plan.placements, Kernels.REFERENCE) is None


@pytest.mark.parametrize("kernels", SETS)
@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, ops=st.integers(1, 6))
def test_no_order_needs_less(kernels: tuple[Kernels, ...], seed: int, ops: int) -> None:
    """Some results are read again."""
    rng = np.random.default_rng(seed)
    model = branching_file(rng, ops, inputs=1 + seed % 2)
    more = [op.outputs[0] for op in model.ops if rng.integers(3) == 0]
    model = replace(model, outputs=tuple(dict.fromkeys((*model.outputs, *more))))
    needs = {order: make_problem(in_order(model, order), kernels).least_bytes for order in every_order(model)}
    assert needs[best_order(model, kernels)] == min(needs.values())


@pytest.mark.parametrize("kernels", SETS)
@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, ops=st.integers(1, 24))
def test_the_order_is_one_in_which_the_model_can_run(kernels: tuple[Kernels, ...], seed: int, ops: int) -> None:
    model = branching_file(np.random.default_rng(seed), ops)
    order = best_order(model, kernels)
    assert is_topological(model, order)
    needs = [make_problem(one, kernels).least_bytes for one in (in_order(model, order), model)]
    assert needs[0] < needs[1] or order == given_order(model)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_with_few_states_the_order_is_no_worse_than_it_was(seed: int) -> None:
    model = branching_file(np.random.default_rng(seed), 16)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "MOST_STATES", 1)
        order = best_order(model, ())
    assert is_topological(model, order)
    assert make_problem(in_order(model, order), ()).least_bytes <= make_problem(model, ()).least_bytes


def test_another_order_is_found_for_a_fair_part_of_random_models() -> None:
    """Otherwise the tests above would be empty."""
    models = [branching_file(np.random.default_rng(seed), 12) for seed in range(40)]
    assert sum(best_order(model, ()) != given_order(model) for model in models) >= 10


@pytest.mark.parametrize("kernels", SETS)
def test_a_chain_has_one_order(kernels: tuple[Kernels, ...], shared_data: Path) -> None:
    for name in ("kws_ref_model", "vww_96_int8", "ad01_int8", "str_ww_ref_model"):
        model = read_model((shared_data / "models" / f"{name}.tflite").read_bytes())
        assert best_order(model, kernels) == given_order(model)


def test_nothing_is_gained_nothing_is_changed() -> None:
    model = residual_network(3)
    assert best_order(model, ()) == given_order(model)


def test_operators_with_a_state_stay_in_their_order() -> None:
    """Custom operators, variables, resources, several subgraphs, a tensor that is written twice, no output."""
    model = two_branches()
    assert best_order(model, ()) != given_order(model)
    last, image = model.ops[-1], model.tensors[0]
    for changed in (
        replace(model, ops=(*model.ops[:-1], replace(last, custom=True))),
        replace(model, tensors=(*model.tensors, replace(image, variable=True))),
        replace(model, tensors=(*model.tensors, replace(image, dtype="resource"))),
        replace(model, tensors=(*model.tensors, replace(image, dtype="variant"))),
        replace(model, subgraphs=2),
        replace(model, ops=(*model.ops, replace(last, outputs=model.ops[0].outputs))),
        replace(model, ops=(*model.ops, replace(last, outputs=()))),
    ):
        assert best_order(changed, ()) == given_order(changed)


@pytest.mark.parametrize("name", ["lstm", "svdf", "custom"])
def test_made_models_with_a_state_are_left_alone(name: str) -> None:
    model = read_model((MODELS / f"{name}.tflite").read_bytes())
    doubled = replace(model, ops=(*model.ops, *model.ops))
    for one in (model, doubled):
        assert best_order(one, ()) == given_order(one)


def test_many_branches_take_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve chains of twenty operators, whose beginnings come first: more sets of operators than can be looked at."""
    sketch = Sketch()
    image = sketch.tensor(1, 8, 8, 2)
    chains = [image] * 12
    for _ in range(20):
        chains = [sketch.window("CONV_2D", x, 1 + number, (1, 1)) for number, x in enumerate(chains)]
    joined = chains[0]
    for other in chains[1:]:
        joined = sketch.op("CONCATENATION", (joined, other), sketch.tensor(1, 8, 8, 2), axis=3)
    model, tried = sketch.file([image], [joined]), 0
    real = _Graph.run

    def counted(graph: _Graph, state: _State, position: int) -> _State:
        nonlocal tried
        tried += 1
        return real(graph, state, position)

    monkeypatch.setattr(_Graph, "run", counted)
    order = best_order(model, ())
    assert is_topological(model, order)
    assert order != given_order(model)
    assert MOST_TRIED < tried < 1.2 * MOST_TRIED


@pytest.mark.parametrize(
    ("scratch", "peak"), [((0, 0), 64), ((100, 0), 32 + 32 + 112), ((0, 1), 32 + 16 + 16), ((0, 40), 96)]
)
def test_scratch_buffers_count_while_their_operator_runs(scratch: tuple[int, int], peak: int) -> None:
    """A chain of tensors of 32, 32 and 16 bytes; buffers take multiples of 16 bytes."""
    tensors = tuple(FileTensor("", (size,), "int8") for size in (32, 32, 16))
    ops = tuple(FileOp("RELU", (i,), (i + 1,), {}, scratch_bytes=size) for i, size in enumerate(scratch))
    model = ModelFile(tensors, ops, (0,), (2,), 0)
    assert _Graph(model, ()).peak(given_order(model)) == peak == make_problem(model, ()).least_bytes
