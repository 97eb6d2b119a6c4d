from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_spaces import NASTY, every_network, make_space, small_spaces, stage

from nas.budget import Budget, list_mcus, list_profiles, load_mcu, make_budget, reachable
from nas.cost.minimum import COSTS, minimum
from nas.cost.model import Cost, cost
from nas.errors import InfeasibleError, InputError, SpecError
from nas.plan.placement import Kernels, PlanKind, Planning
from nas.space import SearchSpace, load_space
from nas.space.lookup import list_files
from nas.tasks import task_names
from nas.units import parse_bytes, parse_ops

PLANNINGS = (Planning(PlanKind.GREEDY), Planning(), Planning(PlanKind.OVERLAP, (Kernels.REFERENCE,)))
FOUND = Cost(flash_bytes=1000, sram_bytes=500, ops=2_000_000)
MCU = """\
schema = 1
name = "board"
core = "Cortex-M4"
clock_hz = 100_000_000
source = "tests"

[memory]
flash = 100_000
sram = 20_000
reserved_flash = 30_000
reserved_sram = 5_000
"""


@pytest.fixture
def write_mcu(tmp_path: Path) -> Callable[..., str]:
    def write(old: str = "", new: str = "") -> str:
        (tmp_path / "board.toml").write_text(MCU.replace(old, new, 1))
        return str(tmp_path / "board.toml")

    return write


def test_only_what_is_set_is_a_bound() -> None:
    assert Budget(flash_bytes=1000, latency_ms=3.0).bounds() == {"flash_bytes": 1000, "latency_us": 3000}
    assert Budget().bounds() == {}
    assert Budget(ops=3).to_json() == {"flash_bytes": None, "sram_bytes": None, "ops": 3, "latency_ms": None}


def test_a_bound_may_be_used_up_and_not_exceeded() -> None:
    assert Budget(1000, 500, 2_000_000).violations(FOUND) == {}
    assert Budget(999, 500, 1_999_999).violations(FOUND) == {"flash_bytes": 1000, "ops": 2_000_000}
    assert Budget(sram_bytes=499).violations(FOUND) == {"sram_bytes": 500}


def test_a_budget_cannot_be_changed() -> None:
    """Engines share it, and keep what they found by it."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Budget(1000).flash_bytes = 2000  # type: ignore[misc]
    assert len({Budget(1000), Budget(1000), Budget(1001)}) == 2


def test_used_is_the_share_of_each_bound() -> None:
    assert Budget(flash_bytes=4000, ops=2_000_000).used(FOUND) == {"flash_bytes": 0.25, "ops": 1.0}


def test_a_network_is_admitted_by_its_exact_cost(toy_space: SearchSpace) -> None:
    found = cost(toy_space.largest().graph)
    assert Budget(found.flash_bytes, found.sram_bytes, found.ops).admits(toy_space.largest())
    assert not Budget(found.flash_bytes - 1, found.sram_bytes, found.ops).admits(toy_space.largest())
    assert not Budget(sram_bytes=found.sram_bytes - 1).admits(toy_space.largest())
    assert not Budget(ops=found.ops - 1).admits(toy_space.largest())


@pytest.mark.parametrize("space", ["ic_resnet", "kws_ds_cnn"])
@given(st.integers(0, 2**32), st.sampled_from(["flash_bytes", "sram_bytes", "ops"]), st.integers(-1, 1))
@settings(max_examples=10)
def test_a_bound_admits_what_costs_as_much_and_no_more(space: str, seed: int, bound: str, more: int) -> None:
    network = load_space(space).sample(random.Random(seed))
    budget = Budget(**{bound: getattr(cost(network.graph), bound) + more})
    assert budget.admits(network) == (more >= 0)


def test_an_mcu_gives_its_memory_less_what_is_reserved(write_mcu: Callable[..., str]) -> None:
    assert make_budget(write_mcu()) == Budget(70_000, 15_000)
    assert make_budget(write_mcu(), flash_bytes=8000, ops=5) == Budget(8000, 15_000, 5)


def test_a_latency_is_a_bound_like_others(write_mcu: Callable[..., str]) -> None:
    """On the exact modelled time of a network on the microcontroller."""
    space = load_space("kws_ds_cnn")
    network = space.points["mlperf-ds-cnn"]
    clock = make_budget(write_mcu()).clock
    assert clock is not None
    needed = clock.microseconds(network.graph)
    within, above = (make_budget(write_mcu(), sram_bytes=65_536, latency_ms=(needed + more) / 1000) for more in (0, -1))
    assert within.admits(network)
    assert within.cost(network).latency_us == needed
    assert above.violations(above.cost(network)) == {"latency_us": needed}
    assert not above.admits(network)
    assert reachable(space, above)


def test_latency_costs_nothing_where_it_is_not_bound(write_mcu: Callable[..., str]) -> None:
    network = load_space("kws_ds_cnn").smallest()
    budget = make_budget(write_mcu())
    assert budget.cost(network).latency_us is None
    latency = budget.latency(network)
    assert latency is not None
    assert 0 < latency.low < latency.modelled < latency.high


def test_of_a_network_that_was_never_counted_no_latency_is_told(write_mcu: Callable[..., str]) -> None:
    network = load_space("kws_ds_cnn").smallest()
    clock = make_budget(write_mcu()).clock
    assert clock is not None
    ignorant = dataclasses.replace(clock, core=clock.core.model_copy(update={"instructions": {}}))
    assert Budget(flash_bytes=1, clock=ignorant).latency(network) is None
    assert Budget(flash_bytes=1).latency(network) is None


PROFILE = """\
schema = 1
name = "profile"
description = "a slice of a chip"
source = "tests"

[budget]
"""


@pytest.mark.parametrize(
    ("bounds", "budget"),
    [
        ("flash = 1", Budget(flash_bytes=1)),
        ("sram = 1", Budget(sram_bytes=1)),
        ("ops = 1", Budget(ops=1)),
        ("flash = 3\nsram = 2\nops = 1", Budget(3, 2, 1)),
    ],
)
def test_a_profile_binds_what_it_names(bounds: str, budget: Budget, tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(PROFILE + bounds)
    assert make_budget(str(path)) == budget


@pytest.mark.parametrize("bounds", ["", "flash = 0", "sram = 0", "ops = 0"])
def test_a_profile_that_binds_nothing(bounds: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(PROFILE + bounds)
    with pytest.raises(SpecError, match=r"profile\.toml: budget"):
        load_mcu(str(path))


def test_no_budget_at_all() -> None:
    with pytest.raises(InputError, match="no budget: give --flash, --sram, --ops or --mcu"):
        make_budget()


def test_a_latency_without_an_mcu() -> None:
    with pytest.raises(InputError, match=r"--latency needs --mcu: give --ops instead, or one of --mcu ") as caught:
        make_budget(latency_ms=100)
    named = str(caught.value).partition("--mcu: ")[2].partition("one of --mcu ")[2].split(", ")
    assert "stm32f746zg" in named
    assert all(make_budget(name, latency_ms=100) for name in named)
    assert len(named) < len(list_mcus())  # of some, nothing is known


@pytest.mark.parametrize("name", ["rp2040", "imxrt1062", "profile_tiny"])
def test_a_microcontroller_of_whose_time_nothing_is_known(name: str) -> None:
    with pytest.raises(InputError, match=f"nothing is known of the latency on {name}: give --ops instead"):
        make_budget(name, latency_ms=100)


def test_a_latency_that_no_network_keeps() -> None:
    space = load_space("kws_ds_cnn")
    with pytest.raises(InfeasibleError) as caught:
        reachable(space, make_budget("stm32l4r5zi", latency_ms=0.1))
    first, nearest = str(caught.value).splitlines()
    assert re.search(r"--latency 0.1 ms, but the smallest .* needs latency [\d.]+ ms, most at [\w.]+$", first)
    named = re.fullmatch(r"nearest feasible budget: --latency ([\d.]+)ms", nearest)
    assert named is not None
    assert reachable(space, make_budget("stm32l4r5zi", latency_ms=float(named[1])))


@pytest.mark.parametrize("flash_bytes", [None, 10**9])
def test_a_latency_just_below_the_least(flash_bytes: int | None) -> None:
    """The least latency is found within 0.5 %, so that it is not known whether this one can be met alone: none is."""
    space = load_space("kws_ds_cnn")
    clock = make_budget("stm32l4r5zi", latency_ms=1).clock
    least = minimum(space, "latency_us", clock=clock)
    assert least is not None
    needed = least.cost.latency_us
    assert needed is not None
    assert least.at_least < needed
    with pytest.raises(InfeasibleError) as caught:
        reachable(space, Budget(flash_bytes, latency_ms=(needed - 1) / 1000, clock=clock))
    first, nearest = str(caught.value).splitlines()
    assert first.endswith(" at once")
    named = re.fullmatch(r"nearest feasible budget: --latency ([\d.]+)ms, the rest as it is", nearest)
    assert named is not None
    assert reachable(space, Budget(flash_bytes, latency_ms=float(named[1]), clock=clock))


def test_an_unknown_mcu_gets_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no constraint named 'stm32f446'; .*did you mean 'stm32f446re'\?"):
        make_budget("stm32f446")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("reserved_sram = 5_000\n", "", "memory.reserved_sram: key is missing"),
        ("flash = 100_000", 'flash = "100KB"', "memory.flash: .*found '100KB'"),
        ("flash = 100_000", "flash = 0", "memory.flash: .*found 0"),
        ("clock_hz", "clock_mhz", "clock_mhz: unknown key|clock_hz: key is missing"),
        ("[memory]", "[memory", "not TOML"),
    ],
)
def test_a_mistake_in_an_mcu_file(write_mcu: Callable[..., str], old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"board.toml: ({message})"):
        load_mcu(write_mcu(old, new))


@pytest.mark.parametrize(("kind", "there_is"), [("flash", "100_000"), ("sram", "20_000")])
def test_a_chip_of_which_everything_is_reserved(write_mcu: Callable[..., str], kind: str, there_is: str) -> None:
    reserved = {"flash": "30_000", "sram": "5_000"}[kind]
    with pytest.raises(SpecError, match=f"reserved_{kind}: .* leave nothing"):
        load_mcu(write_mcu(f"reserved_{kind} = {reserved}", f"reserved_{kind} = {there_is}"))


def test_the_least_that_a_chip_can_have(write_mcu: Callable[..., str]) -> None:
    """One byte and one hertz, with nothing reserved."""
    words = {"flash = 100_000": "flash = 1", "reserved_flash = 30_000": "reserved_flash = 0", "100_000_000": "1"}
    words |= {"sram = 20_000": "sram = 1", "reserved_sram = 5_000": "reserved_sram = 0"}
    path = Path(write_mcu())
    for old, new in words.items():
        path.write_text(path.read_text().replace(old, new, 1))
    spec = load_mcu(str(path))
    assert spec.limits() == Budget(1, 1)
    assert make_budget(str(path)).clock is not None
    path.write_text(path.read_text().replace("clock_hz = 1", "clock_hz = 0"))
    with pytest.raises(SpecError, match="clock_hz"):
        load_mcu(str(path))


@pytest.mark.parametrize(
    ("divided", "whole"),
    [
        (Budget(50, 25, 10, 1.5), Budget(101, 51, 21, 3.0)),
        (Budget(sram_bytes=25), Budget(sram_bytes=50)),
        (Budget(), Budget()),
    ],
)
def test_the_same_share_of_every_bound(divided: Budget, whole: Budget) -> None:
    assert whole.divided(2) == divided
    assert whole.divided(1) == whole


@pytest.mark.parametrize("kind", ["flash", "sram"])
def test_more_reserved_than_there_is(write_mcu: Callable[..., str], kind: str) -> None:
    with pytest.raises(SpecError, match=f"board.toml: memory: .*reserved_{kind}"):
        load_mcu(write_mcu(f"reserved_{kind} = ", f"reserved_{kind} = 9"))


def test_every_shipped_mcu_is_sound(checkout: Path) -> None:
    shipped = {path.stem for path in (checkout / "constraints").glob("*.toml")}
    specs = {spec.name: spec for spec in list_mcus()}
    profiles = {spec.name for spec in list_profiles()}
    assert shipped == set(specs) | profiles == set(list_files("constraints"))
    assert not set(specs) & profiles
    assert shipped
    for spec in specs.values():
        assert spec.memory.reserved_flash < spec.memory.flash
        assert spec.memory.reserved_sram < spec.memory.sram
        assert any(load_space(name).task in task_names() for name in list_files("search_spaces"))


def test_sizes_of_the_boards_of_the_micronets_paper() -> None:
    """Table 1: small, medium and large, in KB of SRAM and flash."""
    memory = {spec.name: (spec.memory.sram // 1024, spec.memory.flash // 1024) for spec in list_mcus()}
    assert memory.items() >= {"stm32f446re": (128, 512), "stm32f746zg": (320, 1024), "stm32f767zi": (512, 2048)}.items()


@pytest.mark.parametrize("space", ["kws_micronet", "kws_ds_cnn"])
@pytest.mark.parametrize("bound", ["flash_bytes", "sram_bytes", "ops"])
def test_the_nearest_feasible_budget_is_feasible(space: str, bound: str) -> None:
    tried = load_space(space)
    needed = getattr(cost(tried.smallest().graph), bound)
    reachable(tried, Budget(**{bound: needed}))
    with pytest.raises(InfeasibleError) as caught:
        reachable(tried, Budget(**{bound: needed - 1}))
    told, _, nearest = str(caught.value).partition("\n")
    assert f"{needed:,} B" in told or bound == "ops"
    text = re.fullmatch(r"nearest feasible budget: --\w+ (\w+(?:\.\w+)?)", nearest)
    assert text is not None, nearest
    reachable(tried, Budget(**{bound: parse_ops(text[1]) if bound == "ops" else parse_bytes(text[1])}))


def test_every_broken_bound_is_named() -> None:
    with pytest.raises(InfeasibleError) as caught:
        reachable(load_space("kws_micronet"), Budget(flash_bytes=2048, sram_bytes=1024, ops=10**9))
    assert str(caught.value).splitlines() == [
        "budget infeasible: --flash 2.0 KB (2,048 B), --sram 1.0 KB (1,024 B), but the smallest network of "
        "kws_micronet (stem 4 | blocks 4) needs flash 2.7 KB (2,752 B), most at stem.1, sram 4.1 KB (4,176 B), "
        "most at stem.1",
        "nearest feasible budget: --flash 3KB --sram 5KB",
    ]


@pytest.mark.parametrize("name", ["kws_micronet", "kws_ds_cnn"])
def test_nothing_is_cheaper_than_the_smallest(name: str) -> None:
    """So that a budget which the smallest network breaks is rightly refused."""
    space, rng = load_space(name), random.Random(0)
    low, high = cost(space.smallest().graph), cost(space.largest().graph)
    for _ in range(500):
        found = cost(space.sample(rng).graph)
        for bound in ("flash_bytes", "sram_bytes", "ops"):
            assert getattr(low, bound) <= getattr(found, bound) <= getattr(high, bound)


def nearest_budgets(told: str, asked: dict[str, int]) -> list[dict[str, int]]:
    """What a refusal names as feasible, together with those bounds that it leaves as they are."""
    line = told.splitlines()[1].removeprefix("nearest feasible budget: ").removesuffix(", the rest as it is")
    budgets = []
    for alternative in line.split(" or "):
        flags = dict(flag.removeprefix("--").split(" ") for flag in re.findall(r"--\w+ [\w.]+", alternative))
        assert flags, told
        assert " ".join(f"--{flag} {value}" for flag, value in flags.items()) == alternative
        named = {"ops": parse_ops(flags.pop("ops"))} if "ops" in flags else {}
        budgets.append(asked | named | {f"{flag}_bytes": parse_bytes(value) for flag, value in flags.items()})
    return budgets


def refusal(space: SearchSpace, asked: dict[str, int]) -> str:
    with pytest.raises(InfeasibleError) as caught:
        reachable(space, Budget(**asked))
    return str(caught.value)


def test_bounds_that_only_different_networks_meet() -> None:
    """A stem of 6 channels has the fewest ops; one of 8 needs no PAD and takes the least flash and SRAM.

    As TFLM plans: with a plan of ours, least flash and least SRAM are of different networks too.
    """
    space, greedy = NASTY["narrowest-is-not-cheapest"], {"planning": Planning(PlanKind.GREEDY)}
    costs = [cost(point.graph, **greedy) for point in every_network(space)]
    least = {name: min(getattr(each, name) for each in costs) for name in COSTS}
    for name in COSTS:
        assert reachable(space, Budget(**{name: least[name]}, **greedy))
    told = refusal(space, least | greedy)
    first, second = told.splitlines()
    assert first == (
        "budget infeasible: no network of made keeps within --flash 2.8 KB (2,896 B), --sram 2.8 KB (2,896 B), "
        "--ops 0.01 M (8,288) at once, though each can be met alone"
    )
    assert second == "nearest feasible budget: --ops 0.02M, the rest as it is"
    for budget in nearest_budgets(told, least):
        reachable(space, Budget(**budget, **greedy))


def test_the_nearest_budget_gives_way_where_only_another_network_has_the_least() -> None:
    """Ops are a little too few, and the network of fewest ops needs more flash than is given too."""
    space, greedy = NASTY["narrowest-is-not-cheapest"], {"planning": Planning(PlanKind.GREEDY)}
    costs = [cost(point.graph, **greedy) for point in every_network(space)]
    asked = {"flash_bytes": min(each.flash_bytes for each in costs), "ops": min(each.ops for each in costs) - 1}
    told = refusal(space, asked | greedy)
    assert told.startswith("budget infeasible: --ops 0.01 M")
    (nearest,) = nearest_budgets(told, asked)
    assert nearest["flash_bytes"] > asked["flash_bytes"]
    assert reachable(space, Budget(**nearest, **greedy))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "needs"),
    [("ic_resnet", (223_312, 126_640, 126_640)), ("vww_micronet_50", (223_248, 223_248, 198_928))],
)
def test_how_memory_is_planned_decides(space: str, needs: tuple[int, ...]) -> None:
    """By TFLM, with overlaps that are safe everywhere, and with those that are safe on the reference kernels."""
    tried = load_space(space)
    assert tuple(cost(tried.largest().graph, planning).sram_bytes for planning in PLANNINGS) == needs
    for planning, need in zip(PLANNINGS, needs, strict=True):
        assert Budget(sram_bytes=need, planning=planning).admits(tried.largest())
        assert not Budget(sram_bytes=need - 1, planning=planning).admits(tried.largest())
        least = minimum(tried, "sram_bytes", planning=planning)
        assert least is not None
        assert reachable(tried, Budget(sram_bytes=least.cost.sram_bytes, planning=planning))
        with pytest.raises(InfeasibleError):
            reachable(tried, Budget(sram_bytes=least.cost.sram_bytes - 1, planning=planning))


def test_the_nearest_budget_leaves_room_for_the_other_bounds() -> None:
    """The network of fewest ops takes more SRAM than is asked for, which would do for a network of more ops."""
    space = make_space(stage("only", "residual", (1, 6, 9), hidden=(2, 7)), shape=(8, 8, 6))
    asked = {"sram_bytes": 3280, "ops": 16_163}
    assert Budget(sram_bytes=3280, ops=30_000).admits(space.architecture({"only.1.width": 1}))
    for budget in nearest_budgets(refusal(space, asked), asked):
        reachable(space, Budget(**budget))


def test_what_was_asked_and_what_is_needed_differ_in_print() -> None:
    """One op too few is still seen."""
    space = load_space("kws_ds_cnn")
    needed = cost(space.smallest().graph).ops
    asked, _, needs = refusal(space, {"ops": needed - 1}).splitlines()[0].partition(", but the smallest network")
    assert asked.removeprefix("budget infeasible: --ops ") not in needs


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(small_spaces(), st.data())
def test_a_network_is_found_or_a_budget_that_has_one_is_named(space: SearchSpace, data: st.DataObject) -> None:
    costs = [cost(point.graph) for point in every_network(space)]
    asked = {}
    for name in data.draw(st.sets(st.sampled_from(COSTS), min_size=1)):
        least = min(getattr(each, name) for each in costs)
        asked[name] = data.draw(st.sampled_from([least - 1, least, least + 16, getattr(costs[0], name)]))
    assume(min(asked.values()) > 0)
    if any(not Budget(**asked).violations(each) for each in costs):
        assert Budget(**asked).admits(reachable(space, Budget(**asked)))
        return
    for budget in nearest_budgets(refusal(space, asked), asked):
        assert any(not Budget(**budget).violations(each) for each in costs)


@pytest.mark.slow
def test_what_was_not_searched_to_the_end_is_not_called_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that prove nothing for so little flash, and too few points to look at all that remain."""
    space = NASTY["mixture"]
    truth = minimum(space, "flash_bytes")
    monkeypatch.setattr("nas.cost.minimum.MOST_POINTS", 5)
    least = minimum(space, "flash_bytes")
    assert truth is not None
    assert least is not None
    assert least.at_least < truth.at_least
    assert refusal(space, {"flash_bytes": least.at_least}).splitlines() == [
        f"budget infeasible as far as made was searched: no network among 20,000 is within --flash "
        f"{least.at_least / 1024:.1f} KB ({least.at_least:,} B)",
        "give more room, or a smaller space",
    ]
    told, nearest = refusal(space, {"flash_bytes": least.at_least - 1}).splitlines()
    assert f"needs flash {least.at_least / 1024:.1f} KB ({least.at_least:,} B), most at " in told
    monkeypatch.undo()
    (budget,) = nearest_budgets(f"\n{nearest}", {})
    assert reachable(space, Budget(**budget))


def test_a_single_network_is_a_space_too() -> None:
    space = NASTY["no-choice"]
    only = cost(space.smallest().graph)
    assert reachable(space, Budget(flash_bytes=only.flash_bytes)) == space.smallest()
    assert "needs flash" in refusal(space, {"flash_bytes": only.flash_bytes - 1})


@pytest.mark.sweep
@pytest.mark.parametrize("name", sorted(list_files("search_spaces")))
def test_every_shipped_space_refuses_what_is_a_byte_too_small(name: str) -> None:
    space = load_space(name)
    for bound in COSTS:
        least = minimum(space, bound)
        assert least is not None
        asked = {bound: getattr(least.cost, bound) - 1}
        told = refusal(space, asked)
        assert re.search(r"most at [\w.]+\n", told)
        for budget in nearest_budgets(told, asked):
            reachable(space, Budget(**budget))
