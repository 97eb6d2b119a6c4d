"""Search spaces and microcontrollers side by side: what there is, and what fits where."""

from __future__ import annotations

import random
from typing import Any

from nas.budget import McuSpec, ProfileSpec, list_mcus, list_profiles
from nas.cost.model import cost
from nas.space import SearchSpace, list_files, load_space

SAMPLES = 200  # random networks of a space that stand for it; 0.1 s for the largest one


def describe_spaces() -> list[dict[str, Any]]:
    """One row per space: size, cheapest and largest network, and the budgets that these two fit."""
    budgets = {spec.name: spec.limits() for spec in _specs()}
    rows = []
    for path in list_files("search_spaces").values():
        space = load_space(path)
        ends = {"smallest": cost(space.smallest().graph), "largest": cost(space.largest().graph)}
        fits = {end: [name for name, budget in budgets.items() if budget.fits(ends[end])] for end in ends}
        rows.append(
            {
                "name": space.name,
                "task": space.task,
                "networks": space.size,
                **{end: found.to_json() for end, found in ends.items()},
                "smallest_fits": fits["smallest"],
                "largest_fits": fits["largest"],
                "budgets": len(budgets),
                "points": list(space.points),
                "description": space.spec.description,
                "file": str(path),
            }
        )
    return rows


def describe_mcus() -> list[dict[str, Any]]:
    """One row per microcontroller, then one per profile; ``fits``: space -> share of its random networks that fit."""
    costs = {name: _random_costs(load_space(path)) for name, path in list_files("search_spaces").items()}
    rows = []
    for spec in _specs():
        limits = spec.limits()
        fits = {name: sum(map(limits.fits, found)) / len(found) for name, found in costs.items()}
        rows.append({**(_mcu_row(spec) if isinstance(spec, McuSpec) else _profile_row(spec)), "fits": fits})
    return rows


def _specs() -> list[McuSpec | ProfileSpec]:
    return [*list_mcus(), *list_profiles()]


def _random_costs(space: SearchSpace) -> list[Any]:
    rng = random.Random(0)
    return [cost(space.sample(rng).graph) for _ in range(SAMPLES)]


def _mcu_row(spec: McuSpec) -> dict[str, Any]:
    limits, memory = spec.limits(), spec.memory
    return {
        "name": spec.name,
        "core": spec.core,
        "clock_hz": spec.clock_hz,
        "flash_bytes": memory.flash,
        "sram_bytes": memory.sram,
        "reserved_flash_bytes": memory.reserved_flash,
        "reserved_sram_bytes": memory.reserved_sram,
        "model_flash_bytes": limits.flash_bytes,
        "model_sram_bytes": limits.sram_bytes,
        "model_ops": limits.ops,
        "latency_modelled": spec.clock() is not None,
        "description": None,
        "source": spec.source,
    }


def _profile_row(spec: ProfileSpec) -> dict[str, Any]:
    limits = spec.limits()
    return {
        "name": spec.name,
        "core": None,
        "clock_hz": None,
        "flash_bytes": limits.flash_bytes,
        "sram_bytes": limits.sram_bytes,
        "reserved_flash_bytes": 0,
        "reserved_sram_bytes": 0,
        "model_flash_bytes": limits.flash_bytes,
        "model_sram_bytes": limits.sram_bytes,
        "model_ops": limits.ops,
        "latency_modelled": False,
        "description": spec.description,
        "source": spec.source,
    }
