"""Search spaces made by hand for what the shipped ones do not have; every test folder can import this module."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from nas.budget import Budget
from nas.space import Architecture, SearchSpace
from nas.space.blocks import BLOCKS
from nas.space.spec import SpaceSpec


def fullest(budget: Budget, network: Architecture) -> float:
    """Share of the bound that a network uses most of, by its own exact cost."""
    return max(budget.used(budget.cost(network)).values())


def stage(name: str, kind: str | tuple[str, ...], width: Any, kernel: Any = (3, 3), **more: Any) -> dict[str, Any]:
    """One ``[[stage]]`` table; tuples stand for the lists of TOML."""
    window = {} if kind == "dense" else {"kernel": _listed(kernel)}
    return {"name": name, "kind": _listed(kind), "width": _listed(width), **window, **_all_listed(more)}


def make_space(*stages: dict[str, Any], shape: tuple[int, int, int] = (9, 7, 2), classes: int = 3) -> SearchSpace:
    """The space of these stages and the usual head, a linear one over dense stages."""
    dense = stages[0]["kind"] == "dense"
    table = {
        "schema": 1,
        "name": "made",
        "task": "kws",
        "description": "made by hand",
        "source": "tests",
        "input": list(shape),
        "classes": classes,
        "stage": list(stages),
        "head": {"kind": "linear" if dense else "pool_dense"},
    }
    return SearchSpace(SpaceSpec.model_validate(table), "made", "")


def every_row(space: SearchSpace) -> np.ndarray:
    """One row of options for every combination: (combinations, decisions)."""
    ranges = [range(len(decision.options)) for decision in space.decisions]
    rows = list(itertools.product(*ranges))
    return np.array(rows, np.int64).reshape(len(rows), len(ranges))


def every_network(space: SearchSpace) -> Iterator[Architecture]:
    """Every network of a small space, once."""
    names = [decision.name for decision in space.decisions]
    rows = every_row(space).tolist()
    yield from dict.fromkeys(space.architecture(dict(zip(names, row, strict=True))) for row in rows)


def _listed(value: Any) -> Any:
    return [_listed(each) for each in value] if isinstance(value, tuple) else value


def _all_listed(table: dict[str, Any]) -> dict[str, Any]:
    return {key: _listed(value) for key, value in table.items()}


MAP_KINDS = [name for name, kind in BLOCKS.items() if not kind.over_vectors]
KERNELS = ((1, 1), (1, 3), (3, 1), (3, 3), (5, 3))
NASTY = {
    "one-channel": make_space(
        stage("stem", "conv", (1, 2, 5), ((1, 1), (3, 2)), stride=2),
        stage("blocks", "ds", (1, 2, 3), KERNELS, repeat=(1, 2, 3)),
    ),
    "grey": make_space(
        stage("first", "ds", (1, 4, 9), repeat=(1, 2)),
        stage("last", "ibn", (1, 2), hidden=(1, 3), repeat=(1, 2, 3)),
        shape=(8, 5, 1),
    ),
    "chain": make_space(
        stage("low", "residual", (1, 3, 4, 8), hidden=(1, 2, 7), repeat=(1, 2, 3)),
        stage("high", "residual", (2, 4, 6), KERNELS, hidden=(3, 5), stride=2, repeat=(2, 3)),
    ),
    "bottlenecks": make_space(
        stage("stem", "conv", (4, 8), stride=2),
        stage("a", "ibn", (2, 4, 8), ((3, 3), (5, 5)), hidden=(8, 12), repeat=(1, 2, 3, 4)),
        stage("b", "ibn", (3, 4, 9), hidden=(4, 6, 20), stride=2, repeat=(1, 2, 3)),
    ),
    "mixture": make_space(
        stage("a", "ibn", (2, 6), hidden=(3, 9), repeat=(1, 2)),
        stage("b", "conv", (3, 5, 6), KERNELS, repeat=(1, 2)),
        stage("c", "residual", (4, 6, 10), hidden=(2, 4), repeat=(1, 2)),
        stage("d", "ds", (5, 7), stride=3),
        stage("e", "residual", (6, 12), hidden=5, stride=2, repeat=(1, 2, 3)),
        stage("f", "ibn", (7, 8), (1, 1), hidden=(2, 16), repeat=(2, 3)),
        shape=(11, 6, 3),
    ),
    "fixed-widths": make_space(
        stage("a", "residual", 3, hidden=2, repeat=(1, 2, 3)),
        stage("b", "ibn", 5, ((1, 1), (3, 3)), hidden=4, stride=2, repeat=(1, 2)),
    ),
    "one-channel-without-choice": make_space(
        stage("stem", "conv", (2, 4)),
        stage("a", "ds", 1, repeat=(1, 2, 3)),
        stage("b", "ibn", (1, 3), hidden=1, repeat=(1, 2, 3)),
    ),
    # A stem of 8 channels needs no PAD, and shares its vector of zero points: less flash and SRAM, more ops.
    "narrowest-is-not-cheapest": make_space(
        stage("stem", "conv", (6, 7, 8), stride=2),
        stage("blocks", "residual", (8, 9), (1, 1), hidden=(7, 8, 9), repeat=(1, 2)),
    ),
    # Averaged over frequencies once; kernels longer than the map, one channel, PAD on either side of a sum.
    "temporal": make_space(
        stage("stem", "conv", (2, 5), (3, 2), stride=(1, 2)),
        stage("time", "temporal", (1, 3, 4), ((1, 1), (3, 1), (9, 1)), repeat=(1, 2, 3)),
        stage("half", "temporal", (4, 6), (5, 1), stride=2, repeat=(1, 2)),
    ),
    "vectors": make_space(
        stage("encoder", "dense", (1, 3, 6), repeat=(1, 2)),
        stage("bottleneck", "dense", 2),
        stage("decoder", "dense", (4, 5), repeat=(1, 2, 3)),
        shape=(1, 1, 9),
        classes=9,
    ),
    # A stage that may be missing, of two kinds and strides; behind it, one that may be missing too.
    "structures": make_space(
        stage("stem", "conv", (3, 5), stride=((2, 2), (1, 2))),
        stage("a", ("ds", "ibn"), (4, 6), hidden=(5, 8), stride=((1, 1), (2, 2)), repeat=(0, 1, 2)),
        stage("b", ("temporal", "residual"), (4, 7), (3, 1), hidden=3, repeat=(0, 1, 2)),
    ),
    "no-choice": make_space(stage("only", "residual", 5, hidden=4)),
}


@st.composite
def small_spaces(draw: st.DrawFn, structured: bool = True) -> SearchSpace:
    """Spaces of 2 to 300 networks over small maps; some are ``structured``, with a choice of kinds, strides, stages.

    Widths are arbitrary, so that the narrowest network is not always the cheapest: a wider map may need no PAD, share
    its vector of zero points, or leave the greedy planner a smaller gap.
    """
    stages = []
    for number in range(draw(st.integers(1, 3))):
        most = 2 if structured and draw(st.booleans()) else 1
        kinds = draw(st.lists(st.sampled_from(MAP_KINDS), min_size=most, max_size=most, unique=True))
        more = {"hidden": draw(rising(2))} if any(BLOCKS[kind].has_hidden for kind in kinds) else {}
        kernel = draw(st.sampled_from([(1, 1), (3, 3), ((1, 1), (3, 3))]))
        stride = draw(st.sampled_from([1, 2, (1, 2), *[((2, 2), (1, 1))] * structured]))
        repeat = draw(st.sampled_from([1, 2, (1, 2), *[(0, 1), (0, 1, 2)] * (structured and number > 0)]))
        stride = 2 if any(BLOCKS[kind].square_stride for kind in kinds) and stride == (1, 2) else stride
        stages.append(stage(f"s{number}", tuple(kinds), draw(rising(3)), kernel, stride=stride, repeat=repeat, **more))
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 8), st.integers(1, 6)))
    space = make_space(*stages, shape=shape)
    assume(2 <= space.size <= 300)
    return space


def rising(most: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Up to so many widths in rising order."""
    return st.sets(st.integers(1, 9), min_size=1, max_size=most).map(lambda widths: tuple(sorted(widths)))
