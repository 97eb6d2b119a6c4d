"""What a model asks of its plan: who must keep how far from whom, and what no plan can be smaller than."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_files import Sketch
from made_problems import chains, graphs, least_of_all_orders, require_legal, total_bytes

from nas.model_file import ModelFile
from nas.plan.greedy import greedy_plan
from nas.plan.placement import Buffer, Kernels
from nas.plan.problem import Item, Neighbour, Problem, make_problem, problem_of
from nas.plan.solver import solve

R = (Kernels.REFERENCE,)


def items_of(problem: Problem) -> list[tuple[tuple[int, ...], int, int, int]]:
    return [tuple(item) for item in problem.items]  # type: ignore[misc]


def neighbours(problem: Problem, tensor: int) -> set[tuple[tuple[int, ...], int, int]]:
    """Tensors of each neighbour, and how far above or below it the item of a tensor is to lie."""
    item = next(i for i, one in enumerate(problem.items) if tensor in one.tensors)
    return {(problem.items[one.item].tensors, one.above, one.below) for one in problem.neighbours[item]}


@settings(max_examples=60, deadline=None)
@given(graphs(6))
def test_the_bound_is_below_every_plan(problem: Problem) -> None:
    assert problem.least_bytes <= least_of_all_orders(problem)


@settings(max_examples=60, deadline=None)
@given(graphs(12, overlapping=False))
def test_without_overlaps_the_bound_is_what_is_alive_at_once(problem: Problem) -> None:
    scopes = range(len(problem.items))
    alive = [sum(one.size_bytes for one in problem.items if one.first <= scope <= one.last) for scope in scopes]
    assert problem.least_bytes == max(alive)


@settings(max_examples=60, deadline=None)
@given(graphs(10, overlapping=False))
def test_tflm_keeps_all_distances_where_nothing_overlaps(problem: Problem) -> None:
    buffers = [Buffer(i, one.size_bytes, one.first, one.last) for i, one in enumerate(problem.items)]
    plan = greedy_plan(buffers)
    require_legal(problem, [plan[i] for i in range(len(buffers))])


@settings(max_examples=60, deadline=None)
@given(st.one_of(chains(12), graphs(12)))
def test_neighbours_are_those_alive_together_and_see_each_other(problem: Problem) -> None:
    for i, item in enumerate(problem.items):
        others = {j for j, o in enumerate(problem.items) if j != i and o.first <= item.last and item.first <= o.last}
        assert {one.item for one in problem.neighbours[i]} == others
        for other, above, below in problem.neighbours[i]:
            assert Neighbour(i, below, above) in problem.neighbours[other]


def test_an_overlap_makes_room_below_what_is_read_and_not_above() -> None:
    items = [Item((0,), 64, 0, 1), Item((1,), 96, 1, 2)]
    problem = problem_of(items, {(1, 0): 32})
    assert problem.neighbours == ((Neighbour(1, 32, 64),), (Neighbour(0, 64, 32),))
    assert problem.least_bytes == 96
    assert solve(problem, total_bytes(problem)).offsets == [32, 0]
    apart = problem_of(items, {})
    assert apart.neighbours == ((Neighbour(1, 96, 64),), (Neighbour(0, 64, 96),))
    assert apart.least_bytes == 160


def test_two_inputs_that_die_share_no_more_than_there_is_of_the_output() -> None:
    items = [Item((0,), 64, 0, 2), Item((1,), 48, 1, 2), Item((2,), 64, 2, 3)]
    assert problem_of(items, {(2, 0): 0}).least_bytes == 64 + 48
    assert problem_of(items, {(2, 0): 0, (2, 1): 32}).least_bytes == 64 + 48
    assert problem_of(items, {(2, 1): 32}).least_bytes == 64 + 48 + 64 - 32


def test_no_items_need_no_bytes() -> None:
    problem = problem_of([], {})
    assert problem.least_bytes == 0
    assert problem.height([]) == 0


def chain() -> ModelFile:
    sketch = Sketch()
    x = sketch.tensor(1, 8, 8, 4)
    y = sketch.window("CONV_2D", x, 8)
    z = sketch.same("RELU", y)
    return sketch.file([x], [z])


def test_a_chain_of_two_operators() -> None:
    file = chain()
    problem = make_problem(file, R)
    assert items_of(problem) == [((0,), 256, 0, 1), ((2,), 512, 1, 2), ((3,), 512, 2, 2)]
    # 64 pixels of 8 bytes are written while the last two rows but one pixel, of 4 bytes each, are still read
    by = 512 - (6 * 8 + 6) * 4
    assert neighbours(problem, 2) == {((0,), 256, 304), ((3,), 0, 512)}
    assert by == 296
    assert {one.below for one in make_problem(file, ()).neighbours[2]} == {512}


def test_what_is_read_again_later_is_not_written_over() -> None:
    """The shortcut of the addition dies there, and not in the function before it."""
    sketch = Sketch()
    x = sketch.tensor(1, 4, 4, 4)
    y = sketch.same("RELU", x)
    file = sketch.file([x], [sketch.same("ADD", x, y)])
    problem = make_problem(file, R)
    assert neighbours(problem, y) == {((x,), 64, 64), ((2,), 0, 64)}
    assert neighbours(problem, 2) == {((x,), 64, 0), ((y,), 64, 0)}
    assert problem.least_bytes == 128


def test_a_result_of_the_model_is_not_written_over() -> None:
    file = chain()
    both = Sketch()
    both.tensors, both.ops = list(file.tensors), list(file.ops)
    problem = make_problem(both.file([0], [2, 3]), R)
    assert ((2,), 512, 512) in neighbours(problem, 3)


def test_an_overlap_that_rounding_eats_up_is_none() -> None:
    """Sixteen values: the distance of 9 bytes is 16, which is the size of the output."""
    sketch = Sketch()
    x = sketch.tensor(1, 16, 1, 1)
    file = sketch.file([x], [sketch.window("CONV_2D", x, 1, (5, 1))])
    by = make_problem(file, R).neighbours[1][0].below
    assert by == 16


def reshaped(*readers: str, first: str = "RELU") -> ModelFile:
    """A map that is flattened, and what reads the map itself."""
    sketch = Sketch()
    image = sketch.tensor(1, 4, 4, 4)
    x = sketch.same(first, image)
    y = sketch.reshape(x, 1, 64)
    ends = [sketch.dense(y, 3), *(sketch.same(kind, x) for kind in readers)]
    return sketch.file([image], ends)


def test_reshaping_in_place_makes_one_item() -> None:
    problem = make_problem(reshaped(), R)
    assert items_of(problem)[1] == ((1, 2), 64, 1, 3)
    assert len(make_problem(reshaped(), ()).items) == len(problem.items) + 1


def test_reshaping_what_is_read_later_is_a_copy() -> None:
    problem = make_problem(reshaped("SOFTMAX"), R)
    assert [tensors for tensors, *_ in items_of(problem)][:3] == [(0,), (1,), (2,)]
    assert ((1,), 64, 64) in neighbours(problem, 2)


def test_reshaping_again_and_again_is_one_item() -> None:
    sketch = Sketch()
    image = sketch.tensor(1, 4, 4, 4)
    x = sketch.same("RELU", image)
    for shape in ((1, 64), (1, 8, 8), (64,)):
        x = sketch.reshape(x, *shape)
    problem = make_problem(sketch.file([image], [x]), R)
    assert items_of(problem)[1] == ((1, 2, 3, 4), 64, 1, 4)


def test_reshaping_the_input_of_the_model_is_one_item_too() -> None:
    sketch = Sketch()
    image = sketch.tensor(1, 4, 4, 4)
    x = sketch.reshape(image, 1, 64)
    assert items_of(make_problem(sketch.file([image], [sketch.dense(x, 16)]), R))[0] == ((0, 1), 64, 0, 2)


def test_the_output_of_a_reshape_overlaps_what_its_input_may() -> None:
    """The item of both is written over the image, and written over by what reads the flat one."""
    sketch = Sketch()
    image = sketch.tensor(1, 4, 4, 4)
    x = sketch.reshape(sketch.same("RELU", image), 1, 64)
    problem = make_problem(sketch.file([image], [sketch.same("RELU", x)]), R)
    assert neighbours(problem, x) == {((0,), 64, 0), ((3,), 0, 64)}
    assert problem.least_bytes == 64


def test_scratch_buffers_are_items_without_a_tensor_of_the_file() -> None:
    sketch = Sketch()
    x = sketch.tensor(1, 4, 4, 4)
    file = sketch.file([x], [sketch.mean(x)])
    problem = make_problem(file, R)
    scratch = [item for item in problem.items if item.tensors[0] >= len(file.tensors)]
    assert [(item.size_bytes, item.first, item.last) for item in scratch] == [(16, 1, 1)] * 3
    assert problem.least_bytes == 64 + 16 + 3 * 16


@pytest.mark.parametrize("kernels", [(), *((one,) for one in Kernels), tuple(Kernels)])
def test_more_kernel_sets_never_need_less(kernels: tuple[Kernels, ...]) -> None:
    file = chain()
    least = make_problem(file, kernels).least_bytes
    assert all(make_problem(file, (one,)).least_bytes <= least for one in kernels)
    assert least <= make_problem(file, ()).least_bytes
