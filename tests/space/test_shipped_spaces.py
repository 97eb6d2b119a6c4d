"""What holds for every file in search_spaces/."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.space import Architecture, Graph, OpKind, SearchSpace, load_space
from nas.tasks import get_task
from nas.tasks.base import outputs_of

FILES = sorted((Path(__file__).resolve().parents[2] / "search_spaces").glob("*.toml"))
SPACES = [load_space(path) for path in FILES]
every_space = pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)


def some_points(space: SearchSpace) -> Iterator[Architecture]:
    yield from (space.smallest(), space.largest(), *space.points.values())
    rng = random.Random(0)
    yield from (space.sample(rng) for _ in range(30))


def test_there_are_spaces() -> None:
    shipped = {
        "ad_autoencoder",
        "ad_micronet",
        "kws_micronet",
        "kws_ds_cnn",
        "kws_broadcast",
        "ic_micronet",
        "ic_resnet",
        "vww_mobilenet",
    }
    assert shipped <= {space.name for space in SPACES}


@every_space
def test_choices_and_json_read_back(space: SearchSpace) -> None:
    for arch in some_points(space):
        assert space.architecture(space.choices(arch)) == arch
        again = Architecture.from_json(json.loads(json.dumps(arch.to_json())))
        assert again == arch
        assert hash(again) == hash(arch)
        assert again.digest == arch.digest


@every_space
def test_input_and_classes_are_those_of_the_task(space: SearchSpace) -> None:
    task = get_task(space.task).fitted(space.spec.input)
    expected = (task.input_shape, outputs_of(task))
    for arch in some_points(space):
        assert (arch.graph.shapes[0], *arch.graph.shapes[-1]) == expected


@every_space
def test_graphs_are_consistent(space: SearchSpace) -> None:
    for arch in some_points(space):
        require_consistent(arch.graph)


def require_consistent(graph: Graph) -> None:
    """Every shape follows from the operators before it, and every tensor but the last one is read."""
    assert len({op.name for op in graph.ops}) == len(graph.ops)
    assert {tensor for op in graph.ops for tensor in op.inputs} == set(range(len(graph.ops)))
    assert len(graph.shapes) == len(graph.ops) + 1
    for index, op in enumerate(graph.ops):
        assert op.output == index + 1 > max(op.inputs)
        assert len(op.inputs) == (2 if op.kind is OpKind.ADD else 1)
        before, after = graph.shapes[op.inputs[0]], graph.shapes[op.output]
        if op.kind in (OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.AVERAGE_POOL_2D):
            assert after[:2] == tuple(math.ceil(size / step) for size, step in zip(before, op.stride, strict=False))
        expected = {
            OpKind.CONV_2D: (after[-1], *op.kernel, before[-1]),
            OpKind.DEPTHWISE_CONV_2D: (1, *op.kernel, before[-1]),
            OpKind.FULLY_CONNECTED: (after[-1], math.prod(before)),
        }
        assert op.weight_shape == expected.get(op.kind, ())
        assert op.bias_count == (after[-1] if op.weight_shape else 0)
        if op.kind is OpKind.PAD:
            assert after[:2] == before[:2]
            assert after[2] > before[2]
        elif op.kind is OpKind.ADD:
            assert {graph.shapes[tensor] for tensor in op.inputs} == {after}
        elif op.kind not in (OpKind.CONV_2D, OpKind.FULLY_CONNECTED):
            assert after[-1] == before[-1]


@every_space
def test_distinct_networks_have_distinct_digests(space: SearchSpace) -> None:
    points = set(some_points(space))
    assert len({point.digest for point in points}) == len(points)


@every_space
def test_a_sample_is_uniform_over_depths(space: SearchSpace) -> None:
    """Uniform over points would draw the deepest networks nearly always."""
    rng = random.Random(1)
    samples = [space.sample(rng) for _ in range(900)]
    for stage in space.spec.stage:
        depths = [len(sample.widths(stage.name)) for sample in samples]
        assert set(depths) == set(stage.repeat)
        assert all(depths.count(depth) > 0.6 * 900 / len(stage.repeat) for depth in stage.repeat)


@given(st.data())
def test_any_choices_read_back(data: st.DataObject) -> None:
    space = data.draw(st.sampled_from(SPACES))
    taken = {
        decision.name: data.draw(st.integers(0, len(decision.options) - 1), decision.name)
        for decision in space.decisions
    }
    arch = space.architecture(taken)
    present = space.choices(arch)
    assert present.items() <= taken.items()
    assert space.architecture(present) == arch
    assert Architecture.from_json(arch.to_json()) == arch
    require_consistent(arch.graph)


@pytest.mark.slow
@given(st.data())
def test_neighbours_are_one_step_away_and_symmetric(data: st.DataObject) -> None:
    space = data.draw(st.sampled_from(SPACES))
    taken = {decision.name: data.draw(st.integers(0, len(decision.options) - 1)) for decision in space.decisions}
    arch = space.architecture(taken)
    for neighbour in space.neighbours(arch):
        assert neighbour != arch
        here, there = space.choices(arch), space.choices(neighbour)
        changed = [name for name in here.keys() & there.keys() if here[name] != there[name]]
        assert len(changed) == 1
        assert abs(here[changed[0]] - there[changed[0]]) == 1
        removed_block = changed[0].endswith(".depth") and there[changed[0]] < here[changed[0]]
        lost = removed_block or here.keys() - there.keys()  # a block comes back as a copy, another kind with no hidden
        if not lost:
            assert arch in space.neighbours(neighbour)
