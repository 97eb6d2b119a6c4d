"""``nas spaces`` and ``nas mcus``: what ships, and what the user has beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

Columns = dict[str, Callable[[dict[str, Any]], str]]  # heading -> what it shows of a row

AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON list on stdout.")]


def spaces(as_json: AsJson = False) -> None:
    """List the search spaces, from the package and from ./search_spaces, and how many budgets they fit.

    Example: nas spaces
    """
    from nas.pipeline.lists import describe_spaces

    rows = describe_spaces()
    if as_json:
        typer.echo(json.dumps(rows))
    else:
        _show(rows, SPACE_COLUMNS)


def mcus(as_json: AsJson = False) -> None:
    """List the microcontrollers and budget profiles, from the package and from ./constraints, and what fits them.

    Example: nas mcus --json
    """
    from nas.pipeline.lists import SAMPLES, describe_mcus

    rows = describe_mcus()
    if as_json:
        typer.echo(json.dumps(rows))
        return
    _show(rows, MCU_COLUMNS)
    shares: Columns = {
        space.replace("_", "_\n"): lambda row, space=space: f"{row['fits'][space]:.0%}"  # type: ignore[misc]
        for space in rows[0]["fits"]
    }
    _show(rows, {"name": MCU_COLUMNS["name"], **shares}, f"share of {SAMPLES} random networks of each space that fit")


def _sizes(sizes: dict[str, Any], prefix: str = "") -> str:
    flash, sram = (sizes[f"{prefix}{kind}_bytes"] for kind in ("flash", "sram"))
    return " / ".join("-" if size is None else f"{size // 1024:,} KB" for size in (flash, sram))


# What is shown of a row; sizes in whole KB, rounded down. A profile has no chip, only what a model may take.
MCU_COLUMNS: Columns = {
    "name": lambda row: row["name"],
    "core": lambda row: row["core"] or "profile",
    "clock": lambda row: f"{row['clock_hz'] / 1e6:g} MHz" if row["clock_hz"] else "-",
    "flash / SRAM": lambda row: _sizes(row) if row["core"] else "-",
    "for a model": lambda row: _sizes(row, "model_"),
}
SPACE_COLUMNS: Columns = {
    "name": lambda row: row["name"],
    "task": lambda row: row["task"],
    "networks": lambda row: f"{row['networks']:.2g}",
    "smallest": lambda row: _sizes(row["smallest"]),
    "largest": lambda row: _sizes(row["largest"]),
    "smallest, largest fit": lambda row: f"{len(row['smallest_fits'])}, {len(row['largest_fits'])} of {row['budgets']}",
    "published networks": lambda row: "\n".join(row["points"]),
}
TYPED = ("name", "published networks")  # columns of names that users type again: never cut


def _show(rows: list[dict[str, Any]], columns: Columns, title: str | None = None) -> None:
    from rich.table import Column, Table

    from nas.cli.tables import show

    headings = (Column(name, no_wrap=name in TYPED, overflow="fold") for name in columns)
    table = Table(*headings, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(cell(row) for cell in columns.values()))
    show(table)
