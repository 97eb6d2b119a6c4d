"""``nas compare``: finished runs side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.units import format_bytes, format_figures, format_ops, format_score


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished searches or trainings of one task.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show runs side by side: scores, costs, what they were trained on; the best of each line is marked.

    Example: nas compare exported/kws-20261122-101500 exported/reference/kws-64kb
    """
    from nas.cli.console import ConsoleReporter
    from nas.pipeline.compare import compare_runs

    found = compare_runs(runs)
    if as_json:
        typer.echo(json.dumps({"runs": found}))
        return
    if len({each["fingerprint"] for each in found}) > 1:
        ConsoleReporter().warn("these runs were measured on different data: their scores do not compare")
    _show(found)


def _show(found: Sequence[dict[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from nas.cli.tables import show

    table = Table(box=SIMPLE_HEAD)
    table.add_column("")
    for each in found:
        table.add_column(each["run"], justify="right", overflow="fold")
    metric = found[0]["metric"]
    _add(table, found, "INT8", "int8_score", lambda value: format_score(metric, value), max)
    _add(table, found, "float", "float_score", lambda value: format_score(metric, value), max)
    _add(table, found, "flash", "flash_bytes", format_bytes, min)
    _add(table, found, "SRAM", "sram_bytes", format_bytes, min)
    _add(table, found, "ops", "ops", format_ops, min)
    _add(table, found, "latency, modelled", "latency_ms", lambda value: f"{format_figures(value)} ms", min)
    _add(table, found, "search, TME", "tme", format_figures)
    for label in ("epochs", "seed", "engine", "space", "network", "data", "test"):
        _add(table, found, "test samples" if label == "test" else label, label, str)
    show(table)


def _add(
    table: Any,
    found: Sequence[dict[str, Any]],
    label: str,
    key: str,
    show: Callable[[Any], str],
    best: Callable[[list[Any]], Any] | None = None,
) -> None:
    """A line of the table, unless no run knows it."""
    values = [each[key] for each in found]
    known = [value for value in values if value is not None]
    if not known:
        return
    top = best(known) if best and len({*known}) > 1 else None
    table.add_row(label, *("-" if value is None else show(value) + (" *" if value == top else "") for value in values))
