"""Cost evaluations per second on one core, beside what other packages need for the same networks, in one run.

    pip install fvcore ptflops torchinfo torchprofile ultralytics-thop && python benchmarks/cost_speed.py

Ours are whole evaluations: ops, exact file size, exact arena. The others count operations only; they need a torch
module, whose construction is not counted: "from graphs" is the like of it. A package that is not installed is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nas.cost.minimum import COSTS, find_within, minimum
from nas.cost.model import cost
from nas.cost.population import population_costs
from nas.cost.relaxed import relaxed_costs
from nas.models.network import Network, build_network
from nas.plan.placement import Kernels, PlanKind, Planning
from nas.space import Architecture, SearchSpace, list_files, load_space
from nas.space.many import choices_of

ROUNDS = 5  # every figure is the median of so many, taken in turns with the others
POPULATION = 20_000
ONE_BY_ONE = 500
PEER_NETWORKS = 8

Peer = Callable[[Network, tuple[int, ...]], Any]


def fvcore(network: Network, shape: tuple[int, ...]) -> Any:
    """FlopCountAnalysis: traces the module."""
    from fvcore.nn import FlopCountAnalysis

    return FlopCountAnalysis(network, torch.zeros(1, *shape)).unsupported_ops_warnings(False).total()


def ptflops(network: Network, shape: tuple[int, ...]) -> Any:
    """get_model_complexity_info: hooks on modules."""
    from ptflops import get_model_complexity_info

    return get_model_complexity_info(network, shape, print_per_layer_stat=False, as_strings=False)


def torchinfo(network: Network, shape: tuple[int, ...]) -> Any:
    """summary: hooks on modules."""
    from torchinfo import summary

    return summary(network, (1, *shape), verbose=0).total_mult_adds


def torchprofile(network: Network, shape: tuple[int, ...]) -> Any:
    """profile_macs: traces the module."""
    from torchprofile import profile_macs

    return profile_macs(network, torch.zeros(1, *shape))


def thop(network: Network, shape: tuple[int, ...]) -> Any:
    """profile: hooks on modules."""
    from thop import profile

    return profile(network, inputs=(torch.zeros(1, *shape),), verbose=False)


def torch_flop_counter(network: Network, shape: tuple[int, ...]) -> Any:
    """torch's FlopCounterMode: intercepts operators of a forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *shape))
    return counter.get_total_flops()


PEERS: dict[str, Peer] = {
    "fvcore": fvcore,
    "ptflops": ptflops,
    "torchinfo": torchinfo,
    "torchprofile": torchprofile,
    "ultralytics-thop": thop,
    "torch": torch_flop_counter,
}


REFERENCE, GREEDY = Planning(kernels=(Kernels.REFERENCE,)), Planning(PlanKind.GREEDY)


def main() -> None:
    """Print one table of rates and one of answer times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="*", default=["kws_micronet", "ic_resnet", "vww_micronet_50"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=120)
    console.print(_rates([load_space(name) for name in options.spaces]))
    console.print(_answers([load_space(name) for name in sorted(list_files("search_spaces"))]))


def _rates(spaces: list[SearchSpace]) -> Table:
    peers = {name: peer for name, peer in PEERS.items() if _installed(name)}
    table = Table("evaluations per second", *(space.name for space in spaces))
    columns = [_space_rates(space, peers) for space in spaces]
    for row in columns[0]:
        table.add_row(row, *(f"{column[row]:,.0f}" for column in columns))
    return table


def _space_rates(space: SearchSpace, peers: dict[str, Peer]) -> dict[str, float]:
    """Evaluations per second by method; all methods take turns, so that a busy machine slows all alike."""
    rng = np.random.default_rng(0)
    options = np.stack([rng.integers(0, len(d.options), POPULATION) for d in space.decisions], axis=1)
    networks = [space.architecture(choices_of(space, row)) for row in options[:ONE_BY_ONE]]
    graphs = [network.graph for network in networks]
    modules = [build_network(network.graph, seed=0).eval() for network in networks[:PEER_NETWORKS]]
    height, width, channels = space.spec.input
    jobs: dict[str, Callable[[], int]] = {
        f"ours, {POPULATION:,} at once": lambda: _count(population_costs(space, options).ops),
        "the same, plans for reference kernels": lambda: _count(population_costs(space, options, REFERENCE).ops),
        "the same, as TFLM plans": lambda: _count(population_costs(space, options, GREEDY).ops),
        "ours, 1,000 at once": lambda: _count(population_costs(space, options[:1000]).ops),
        "ours, one by one from architectures": lambda: _one_by_one(networks),
        "ours, one by one from graphs": lambda: _count(cost(graph) for graph in graphs),
        "the same, one by one as TFLM plans": lambda: _count(cost(graph, GREEDY) for graph in graphs),
    }
    for name, peer in peers.items():
        label = f"{name} {importlib.metadata.version(name)}, operations only"
        jobs[label] = lambda peer=peer: _peer(peer, modules, (channels, height, width))  # type: ignore[misc]
    population_costs(space, options[:1])  # compiles the planner
    rates: dict[str, list[float]] = {name: [] for name in jobs}
    for _, (name, job) in itertools.product(range(ROUNDS), jobs.items()):
        started = time.perf_counter()
        count = job()
        rates[name].append(count / (time.perf_counter() - started))
    return {name: statistics.median(found) for name, found in rates.items()}


def _count(values: Iterable[Any]) -> int:
    return sum(1 for _ in values)


def _one_by_one(networks: list[Architecture]) -> int:
    for network in networks:
        network.__dict__.pop("graph", None)  # it remembers its graph; a search asks once
        cost(network.graph)
    return len(networks)


def _peer(peer: Peer, modules: list[Network], shape: tuple[int, ...]) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        for module in modules:
            peer(module, shape)
    return len(modules)


def _answers(spaces: list[SearchSpace]) -> Table:
    """Seconds until an answer, after imports."""
    table = Table("seconds", "minimum of 3 costs", "infeasible jointly", "relaxed costs and gradient", "networks")
    for space in spaces:
        started = time.perf_counter()
        least = {name: minimum(space, name) for name in COSTS}
        limits = {name: getattr(one.cost, name) for name, one in least.items() if one is not None}
        found = time.perf_counter()
        nothing, proved = find_within(space, {**limits, "sram_bytes": limits["sram_bytes"] - 1})
        assert nothing is None, "one byte less than the minimum cannot be met"
        assert proved
        refused = time.perf_counter()
        _relaxed(space)
        warm = time.perf_counter()
        _relaxed(space)
        relaxed = time.perf_counter() - warm
        table.add_row(
            space.name, f"{found - started:.3f}", f"{refused - found:.3f}", f"{relaxed:.4f}", f"{space.size:.2g}"
        )
    return table


def _relaxed(space: SearchSpace) -> None:
    logits = {d.name: torch.zeros(len(d.options), requires_grad=True) for d in space.decisions}
    costs = relaxed_costs(space, {name: torch.softmax(logit, 0) for name, logit in logits.items()})
    sum(costs.values()).backward()  # type: ignore[union-attr]


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
