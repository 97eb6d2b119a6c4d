"""``nas spaces`` and ``nas mcus``: what ships, and what the user has beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nas.budget import McuSpec, ProfileSpec

AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON list on stdout.")]


def spaces(as_json: AsJson = False) -> None:
    """List the search spaces, from the package and from ./search_spaces."""
    from nas.cost.model import cost
    from nas.space import list_files, load_space

    rows = []
    for path in list_files("search_spaces").values():
        space = load_space(path)
        smallest, largest = (cost(point.graph) for point in (space.smallest(), space.largest()))
        rows.append(
            {
                "name": space.name,
                "task": space.task,
                "networks": space.size,
                "smallest": smallest.to_json(),
                "largest": largest.to_json(),
                "points": list(space.points),
                "description": space.spec.description,
                "file": str(path),
            }
        )
    _show(rows, as_json, ("name", "task", "networks", "points", "description"))


def mcus(as_json: AsJson = False) -> None:
    """List the microcontrollers and budget profiles, from the package and from ./constraints; sizes in bytes."""
    from nas.budget import list_mcus, list_profiles

    rows = [*map(_mcu_row, list_mcus()), *map(_profile_row, list_profiles())]
    shown = rows if as_json else [{column: show(row) for column, show in MCU_COLUMNS.items()} for row in rows]
    _show(shown, as_json, tuple(MCU_COLUMNS))


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
        "latency_tasks": sorted(spec.latency),
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
        "latency_tasks": [],
        "description": spec.description,
        "source": spec.source,
    }


def _sizes(row: dict[str, Any], prefix: str = "") -> str:
    flash, sram = (row[f"{prefix}{kind}_bytes"] for kind in ("flash", "sram"))
    return " / ".join("-" if size is None else f"{size // 1024:,} KB" for size in (flash, sram))


# What `nas mcus` shows of a row; sizes in whole KB, rounded down. A profile has no chip, only what a model may take.
MCU_COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "name": lambda row: row["name"],
    "core": lambda row: row["core"] or "profile",
    "clock": lambda row: f"{row['clock_hz'] / 1e6:g} MHz" if row["clock_hz"] else "-",
    "flash / SRAM": lambda row: _sizes(row) if row["core"] else "-",
    "for a model": lambda row: _sizes(row, "model_"),
}


def _show(rows: list[dict[str, Any]], as_json: bool, columns: tuple[str, ...]) -> None:
    if as_json:
        typer.echo(json.dumps(rows))
        return
    from rich.table import Table

    from nas.cli.tables import show

    table = Table(*columns)
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    show(table)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, int):
        return f"{value:,}" if value < 10**12 else f"{value:.2g}"
    return str(value)
