"""``nas spaces`` and ``nas mcus``: what ships, and what the user has beside it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

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
    """List the microcontrollers, from the package and from ./constraints; sizes in bytes."""
    from nas.budget import list_mcus

    rows = [
        {
            "name": spec.name,
            "core": spec.core,
            "clock_hz": spec.clock_hz,
            "flash_bytes": spec.memory.flash,
            "sram_bytes": spec.memory.sram,
            "reserved_flash_bytes": spec.memory.reserved_flash,
            "reserved_sram_bytes": spec.memory.reserved_sram,
        }
        for spec in list_mcus()
    ]
    _show(rows, as_json, tuple(rows[0]) if rows else ())


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
