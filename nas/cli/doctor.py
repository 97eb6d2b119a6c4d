"""``nas doctor``: what is installed, and how to get the rest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from nas.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from nas.pipeline.doctor import Tool


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show which tools nas finds here, what each is for, and how to install those that are missing.

    Example: nas doctor

    Exit code 2: something is missing without which nothing works.
    """
    from nas.pipeline.doctor import describe_device, look_around

    tools, device = look_around(), describe_device()
    if as_json:
        typer.echo(json.dumps({"device": device, "tools": [tool.to_json() for tool in tools]}))
    else:
        from rich.console import Group

        from nas.cli.tables import show

        required = sum(tool.required for tool in tools)
        show(Group(f"trains on {device}", f"{required} packages that everything needs, and:", _table(tools)))
    if broken := [tool for tool in tools if tool.required and not tool.usable]:
        raise InputError(
            f"{', '.join(tool.name for tool in broken)}: missing, or of a version that does not work\n"
            f"{'; '.join(tool.install for tool in broken)}"
        )


def _table(tools: list[Tool]) -> Table:
    """Optional tools, and what is wrong with required ones."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("tool", "found", "for"):
        table.add_column(column, overflow="fold")
    for tool in tools:
        if tool.required and tool.usable:
            continue
        found = tool.found or "no" if tool.usable or tool.found is None else f"{tool.found}, which does not do"
        told = tool.purpose if tool.usable else f"{tool.purpose}\n{tool.install}"
        table.add_row(*(Text(cell, style="" if tool.usable else "red") for cell in (tool.name, found, told)))
    return table
