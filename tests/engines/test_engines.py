"""What every engine must do: one suite for all of them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_engine import NAMES, digest_score, every_engine, every_searching_engine, prepared

from nas.budget import Budget, McuSpec, load_mcu
from nas.cost.model import cost
from nas.engines import ENGINES, Candidate, Engine, best, get_engine, pareto_front
from nas.engines.tpe import STARTUP_CANDIDATES
from nas.errors import InfeasibleError, InputError
from nas.space import Architecture, SearchSpace, load_space

SUITE = str(Path(__file__).parent)
LIMIT = 14  # more than the random ones that an engine may start with

IN_ANOTHER_PROCESS = """
import json, sys
sys.path[:0] = sys.argv[4:]
from every_engine import prepared
from nas.budget import Budget
from nas.engines import SearchRequest
from nas.space import load_space
names, space, limit = sys.argv[1].split(","), load_space(sys.argv[2]), int(sys.argv[3])
score = lambda architecture, number, report: (int(architecture.digest, 16) / 16**12, 0.5)
request = SearchRequest(space, Budget(flash_bytes=10**9), score, lambda found: len(found) >= limit, 0)
print(json.dumps({name: [candidate.to_json() for candidate in prepared(name)(request)] for name in names}))
"""


@pytest.fixture
def wide_space(write_space: Callable[..., Path]) -> SearchSpace:
    """The toy space with 24 widths for each layer and one kernel: 14,400 networks."""
    return load_space(
        write_space(
            ("{ from = 4, to = 12, step = 4 }", "{ from = 4, to = 96, step = 4 }"),
            ("width = [4, 6]", "width = { from = 4, to = 96, step = 4 }"),
            ("[[1, 1], [3, 3]]", "[3, 3]"),
            ("stem = [8], blocks = [6, 4]", "stem = [8], blocks = [8, 4]"),
        )
    )


@pytest.fixture
def deep_space(write_space: Callable[..., Path], checkout: Path, tmp_path: Path) -> SearchSpace:
    """The MicroNet space without its shallow networks."""
    text = (checkout / "search_spaces" / "kws_micronet.toml").read_text()
    (tmp_path / "kws_micronet.toml").write_text(text.replace("from = 1, to = 9", "from = 3, to = 9"))
    return load_space(tmp_path / "kws_micronet.toml")


def peak(architecture: Architecture) -> float:
    """Smooth: 0 for a stem of 48 channels and two blocks of 24 and 72, below it for everything else."""
    wanted = (48, 24, 72)
    found = [block.width for block in architecture.blocks]
    return -sum(((a - b) / 96) ** 2 for a, b in zip(found, wanted, strict=False)) - 0.5 * (3 - len(found))


@pytest.mark.slow
@every_searching_engine
def test_the_same_seed_gives_the_same_candidates(engine: Engine, searcher: Any) -> None:
    first = list(engine(searcher.request(LIMIT, seed=3)))
    assert list(engine(searcher.request(LIMIT, seed=3))) == first
    assert list(engine(searcher.request(LIMIT, seed=4))) != first


@pytest.mark.slow
def test_another_process_finds_the_same(searcher: Any) -> None:
    command = [
        sys.executable,
        "-c",
        IN_ANOTHER_PROCESS,
        ",".join(NAMES),
        searcher.space.origin,
        str(LIMIT),
        SUITE,
        str(Path(SUITE).parent),
    ]
    there = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(there.stdout)
    for name in NAMES:
        assert found[name] == [candidate.to_json() for candidate in prepared(name)(searcher.request(LIMIT))], name


@pytest.mark.slow
@pytest.mark.sweep
@every_engine
def test_a_resumed_search_goes_on_as_if_never_stopped(engine: Engine, searcher: Any) -> None:
    whole = list(engine(searcher.request(LIMIT)))
    for done in range(LIMIT):
        assert list(engine(searcher.request(LIMIT, history=whole[:done]))) == whole[done:]


@every_searching_engine
def test_candidates_are_numbered_and_carry_their_cost(engine: Engine, searcher: Any) -> None:
    found = list(engine(searcher.request(LIMIT)))
    assert [candidate.number for candidate in found] == list(range(LIMIT))
    assert [candidate.architecture for candidate in found] == searcher.evaluated
    for candidate in found:
        assert candidate.cost == cost(candidate.architecture.graph)
        assert (candidate.score, candidate.seconds) == (searcher.score(candidate.architecture), 0.5)


@pytest.mark.slow
@pytest.mark.sweep
@every_searching_engine
@pytest.mark.parametrize("bound", ["flash_bytes", "sram_bytes", "ops"])
def test_no_violator_is_evaluated_and_all_others_are(engine: Engine, searcher: Any, bound: str) -> None:
    """The bound is the cost of the point in the middle, so that some networks are within and some are not."""
    limit = getattr(cost(searcher.space.points["middle"].graph), bound)
    searcher.budget = Budget(**{bound: limit})
    list(engine(searcher.request(limit=1000)))
    assert all(getattr(cost(each.graph), bound) <= limit for each in searcher.evaluated)
    assert searcher.space.points["middle"] in searcher.evaluated
    assert 1 < len(searcher.evaluated) < searcher.space.size


@pytest.mark.slow
@pytest.mark.sweep
@every_searching_engine
def test_a_latency_is_kept_likewise(engine: Engine, searcher: Any) -> None:
    """Also where the candidates come back from a history, as in a resumed search."""
    board = load_mcu("stm32l4r5zi")
    assert isinstance(board, McuSpec)
    clock = board.clock()
    assert clock is not None
    limit = clock.microseconds(searcher.space.points["middle"].graph)
    searcher.budget = Budget(latency_ms=limit / 1000, clock=clock)
    found = list(engine(searcher.request(limit=1000)))
    assert all(candidate.cost.latency_us <= limit for candidate in found)
    assert all(clock.microseconds(each.graph) <= limit for each in searcher.evaluated)
    assert searcher.space.points["middle"] in searcher.evaluated
    assert 1 < len(searcher.evaluated) < searcher.space.size
    again = [Candidate.from_json(json.loads(json.dumps(candidate.to_json()))) for candidate in found[:3]]
    assert again == found[:3]
    assert next(iter(engine(searcher.request(limit=5, history=again)))) not in again


@pytest.mark.slow
@every_searching_engine
def test_a_small_space_is_searched_whole_and_ends(engine: Engine, searcher: Any) -> None:
    """So the known optimum is found; no network is evaluated twice."""
    searcher.score = peak
    found = list(engine(searcher.request(limit=1000)))
    assert len(searcher.evaluated) == len(set(searcher.evaluated)) == searcher.space.size
    assert best(found).architecture.summary() == "stem 12 | blocks 6 6"


@every_engine
def test_a_space_of_one_network_ends(engine: Engine, searcher: Any, write_space: Callable[..., Path]) -> None:
    searcher.space = load_space(
        write_space(
            ("{ from = 4, to = 12, step = 4 }", "8"),
            ("{ from = 1, to = 2 }", "2"),
            ("[4, 6]", "4"),
            ("[[1, 1], [3, 3]]", "[3, 3]"),
            ("blocks = [6, 4]", "blocks = [4, 4]"),
        )
    )
    assert searcher.space.size == 1
    assert len(list(engine(searcher.request(limit=5)))) == 1


@every_searching_engine
@pytest.mark.parametrize("limit", [0, 1, 9, 20])
def test_the_limit_is_kept(engine: Engine, searcher: Any, limit: int) -> None:
    assert len(list(engine(searcher.request(limit)))) == len(searcher.evaluated) == limit


@every_searching_engine
def test_a_limit_in_the_request_is_kept(engine: Engine, searcher: Any) -> None:
    request = replace(searcher.request(limit=1000), limit=9)
    found = list(engine(request))
    assert len(found) == len(searcher.evaluated) == 9
    assert list(engine(replace(request, history=tuple(found)))) == []


@pytest.mark.slow
@every_searching_engine
def test_known_points_that_fit_are_tried_first(engine: Engine, searcher: Any) -> None:
    space = searcher.space
    searcher.budget = Budget(flash_bytes=cost(space.points["middle"].graph).flash_bytes)
    request = replace(searcher.request(LIMIT), known=(space.largest(), space.points["middle"], space.smallest()))
    found = list(engine(request))
    assert searcher.evaluated[:2] == [space.points["middle"], space.smallest()]
    assert len(set(searcher.evaluated)) == LIMIT
    for done in (1, 2, LIMIT - 1):
        assert list(engine(replace(request, history=tuple(found[:done])))) == found[done:]


@every_searching_engine
def test_a_score_that_is_no_number_is_the_worst(engine: Engine, searcher: Any) -> None:
    searcher.score = lambda architecture: math.nan if len(architecture.blocks) == 2 else digest_score(architecture)
    found = list(engine(searcher.request(LIMIT)))
    assert len(found) == len(searcher.evaluated) == LIMIT
    assert all((c.score == -math.inf) == (len(c.architecture.blocks) == 2) for c in found)
    assert list(engine(searcher.request(LIMIT, history=found[:9]))) == found[9:]


@every_engine
def test_a_budget_that_nothing_fits_is_told(engine: Engine, searcher: Any) -> None:
    searcher.budget = Budget(flash_bytes=100)
    with pytest.raises(InfeasibleError, match="budget infeasible"):
        list(engine(searcher.request(LIMIT)))
    assert searcher.evaluated == []


@every_searching_engine
def test_nothing_is_evaluated_before_it_is_asked_for(engine: Engine, searcher: Any) -> None:
    """The run folder writes each candidate before the next one starts."""
    iterator = engine(searcher.request(LIMIT))
    for count in (1, 2, 3):
        next(iterator)
        assert len(searcher.evaluated) == count


@pytest.mark.slow
@every_searching_engine
def test_a_budget_that_hardly_anything_fits_is_met_in_bounded_time(
    engine: Engine, searcher: Any, deep_space: SearchSpace
) -> None:
    """70 networks fit; one random draw in 2.3 million is one of them."""
    searcher.space = deep_space
    smallest = cost(deep_space.smallest().graph)
    searcher.budget = Budget(flash_bytes=smallest.flash_bytes + 1000)
    seconds = []
    iterator = engine(searcher.request(12))
    for _ in range(12):
        started = time.process_time()
        next(iterator)
        seconds.append(time.process_time() - started)
    assert max(seconds[1:]) < 2.0  # the first one also imports the engine's library
    assert len(set(searcher.evaluated)) == 12
    assert all(searcher.budget.admits(each) for each in searcher.evaluated)


@pytest.mark.slow
def test_tpe_learns_from_its_candidates(searcher: Any, wide_space: SearchSpace) -> None:
    """Distance from the optimum after 60 candidates, mean of 5 seeds."""
    searcher.space, searcher.score = wide_space, peak
    mean = {
        name: -sum(best(list(get_engine(name)(searcher.request(60, seed)))).score for seed in range(5)) / 5
        for name in ("tpe", "random")
    }
    assert mean["tpe"] < mean["random"] / 2


def test_tpe_looks_at_its_candidates_once_for_each_proposal(
    searcher: Any, wide_space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small the share that fits: it is given the best of its draws that does."""
    from nas.engines.tpe_sampler import FeasibleTPESampler

    looks = []
    monkeypatch.setattr(
        FeasibleTPESampler,
        "sample_relative",
        lambda *args: looks.append(args) or super(FeasibleTPESampler, args[0]).sample_relative(*args[1:]),
    )
    searcher.space = wide_space
    searcher.budget = Budget(flash_bytes=cost(wide_space.points["middle"].graph).flash_bytes + 2000)
    list(get_engine("tpe")(searcher.request(30)))
    assert len(looks) == 30 - STARTUP_CANDIDATES


@pytest.mark.slow
def test_nsga2_finds_a_better_front_than_chance(searcher: Any, wide_space: SearchSpace) -> None:
    """Area between the front over score and size and the worst of both, after 100 candidates, mean of 3 seeds."""
    searcher.space, searcher.score = wide_space, peak
    largest = cost(wide_space.largest().graph).flash_bytes

    def area(name: str, seed: int) -> float:
        front = pareto_front(list(get_engine(name)(searcher.request(100, seed))), ["flash_bytes"])
        sizes = [*(candidate.cost.flash_bytes for candidate in front), largest]
        return sum((c.score + 2) * (end - start) for c, start, end in zip(front, sizes, sizes[1:], strict=False))

    mean = {name: sum(area(name, seed) for seed in range(3)) / 3 / largest for name in ("nsga2", "random")}
    assert mean["nsga2"] > mean["random"]


@pytest.mark.slow
def test_nsga2_breeds_nothing_that_is_smaller_than_anyone_wants(searcher: Any, wide_space: SearchSpace) -> None:
    """Of a score that rises with size: the share of candidates below half of the budget, mean of 3 seeds."""
    searcher.space, searcher.score = wide_space, lambda network: float(cost(network.graph).flash_bytes)
    searcher.budget = Budget(flash_bytes=cost(wide_space.largest().graph).flash_bytes)

    def small(least: float, seed: int) -> float:
        found = list(get_engine("nsga2")(replace(searcher.request(150, seed), least=least)))[50:]
        return sum(candidate.cost.flash_bytes < searcher.budget.flash_bytes / 2 for candidate in found) / len(found)

    anything, wanted = (sum(small(least, seed) for seed in range(3)) / 3 for least in (0.0, 0.5))
    assert wanted < 0.8 * anything


def test_even_ends_with_the_networks_of_every_depth(searcher: Any, wide_space: SearchSpace) -> None:
    """Both depths of the space, each as wide as fits: one option more everywhere would not."""
    searcher.space = wide_space
    searcher.budget = Budget(ops=cost(wide_space.points["middle"].graph).ops * 4)
    found = list(get_engine("even")(searcher.request(1000)))
    assert [len(candidate.architecture.blocks) for candidate in found] == [2, 3]
    for candidate in found:
        options = set(wide_space.choices(candidate.architecture).values()) - {0, 1}
        assert len(options) == 1
        wider = {name: option + 1 for name, option in wide_space.choices(candidate.architecture).items()}
        wider["blocks.depth"] = len(candidate.architecture.blocks) - 2
        assert not searcher.budget.admits(wide_space.architecture(wider))
    assert list(get_engine("even")(searcher.request(1000, history=found[:1]))) == found[1:]


def test_published_networks_are_scaled_into_the_budget(searcher: Any) -> None:
    """MicroNets for a quarter of the smallest one's ops: proportions are kept to a step, and the budget is used."""
    searcher.space = load_space("kws_micronet")
    points = list(searcher.space.points.values())
    searcher.budget = Budget(ops=cost(points[0].graph).ops // 4)
    found = [candidate.architecture for candidate in get_engine("published")(searcher.request(1000))]
    assert len(found) == len(points) == 3
    for small, point in zip(found, points, strict=True):
        assert len(small.blocks) == len(point.blocks)
        assert 0.9 < cost(small.graph).ops / searcher.budget.ops <= 1
        widths = np.array([(a.width - 4, b.width - 4) for a, b in zip(small.blocks, point.blocks, strict=True)])
        scale = widths[:, 0].sum() / widths[:, 1].sum()
        assert np.abs(widths[:, 0] - scale * widths[:, 1]).max() <= 4


def test_a_published_network_that_fits_may_grow(searcher: Any, toy_space: SearchSpace) -> None:
    (found,) = get_engine("published")(searcher.request(1000))
    assert found.architecture.summary() == "stem 12 | blocks 6 4"


def test_a_space_without_published_networks_is_told(searcher: Any) -> None:
    searcher.space = load_space("kws_broadcast")
    with pytest.raises(InputError, match="the space kws_broadcast lists no published network"):
        list(get_engine("published")(searcher.request(5)))


@pytest.mark.parametrize("engine", ["random", "tpe"])
def test_a_search_begins_with_networks_that_use_the_budget(searcher: Any, deep_space: SearchSpace, engine: str) -> None:
    """Uniform draws of that space use 59 % of such a budget, and are hardly ever deep."""
    searcher.space, searcher.budget = deep_space, Budget(ops=6_000_000)
    found = list(get_engine(engine)(searcher.request(STARTUP_CANDIDATES)))
    assert min(candidate.cost.ops for candidate in found) > 0.85 * 6_000_000
    assert len({len(candidate.architecture.blocks) for candidate in found}) >= 4


def test_nsga2_begins_with_networks_from_all_over_the_budget(searcher: Any, deep_space: SearchSpace) -> None:
    searcher.space, searcher.budget = deep_space, Budget(ops=6_000_000)
    used = [candidate.cost.ops / 6_000_000 for candidate in get_engine("nsga2")(searcher.request(10))]
    assert min(used) < 0.35
    assert max(used) > 2 * min(used)


def test_engines_are_listed_without_their_libraries() -> None:
    """``nas --help`` lists them within half a second."""
    code = "import sys, nas.engines; print(sorted({'optuna', 'sqlalchemy', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_engine_is_told() -> None:
    with pytest.raises(InputError, match=f"no engine named 'tpa'; there are {', '.join(ENGINES)}"):
        get_engine("tpa")


def test_of_equal_scores_the_cheapest_is_best(candidates: list[Candidate]) -> None:
    smallest, largest, middle = (replace(candidate, score=0.5) for candidate in candidates)
    assert best([largest, middle, smallest]) == smallest
    assert best([middle, replace(largest, score=0.6)]).score == 0.6
    assert best([replace(middle, number=7), middle]) == middle
