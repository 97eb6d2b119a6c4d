"""``nas data``: look after data sets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli import completion
from nas.cli.terminal import say
from nas.errors import DataError

if TYPE_CHECKING:
    from rich.table import Table

    from nas.pipeline.data_check import DataCheck
    from nas.tasks.inventory import Finding

SHOWN = 5  # places of a finding; --json has all
SHOWN_UNREADABLE = 20  # each has to be mended before anything else works

data = typer.Typer(no_args_is_help=True)


@data.callback()
def group() -> None:
    """Look after data sets.

    Example: nas data check kws --data speech_commands/
    """


@data.command(no_args_is_help=True)
def check(
    task: Annotated[
        str,
        typer.Argument(help="What it is for: kws, ic, ic2, vww, ad, image or audio.", autocompletion=completion.tasks),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="Data set, folder of evaluation files with y_labels.csv, or builtin. Default: as a search."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Read every sample; show counts, sizes, duplicates, leaks between splits, and what is missing or damaged.

    Exit code 2: the data set cannot be used as it is.

    Examples:

    nas data check kws --data speech_commands/

    nas data check vww --data vww01/ --json
    """
    from nas.cli.console import ConsoleReporter

    with ConsoleReporter() as reporter:
        from nas.pipeline.data_check import check_data

        result = check_data(task, data, reporter)
    if as_json:
        typer.echo(json.dumps(result.to_json()))
    else:
        _show(result)
    if result.error:
        raise DataError(result.error)


def _show(result: DataCheck) -> None:
    from nas.cli.tables import show

    where = "SYNTHETIC DATA, says nothing about real use" if result.folder is None else f"in {result.folder}"
    say(f"{result.data} for {result.task}, {where}")
    show(_samples_table(result))
    for line in _lines(result):
        say(line)


def _samples_table(result: DataCheck) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("samples", box=SIMPLE_HEAD)
    for split in result.samples:
        table.add_column(split, justify="right")
    fullest_first = sorted(result.samples.values(), key=len, reverse=True)
    labels = dict.fromkeys(label for counts in fullest_first for label in counts)
    for label in labels:
        counts = [counts.get(label) for counts in result.samples.values()]
        table.add_row(label, *("-" if count is None else f"{count:,}" for count in counts))
    table.add_section()
    table.add_row("all", *(f"{sum(counts.values()):,}" for counts in result.samples.values()))
    return table


def _lines(result: DataCheck) -> Iterator[str]:
    if result.sizes:
        yield _sizes(result.sizes)
    yield from (f"note: {note}" for note in result.notes)
    for finding in result.findings:
        yield from _finding(finding)
    if result.folder is not None and not result.findings:
        yield "no duplicates, leaks, blank or damaged samples, no class without samples"


def _sizes(sizes: dict[str, Any]) -> str:
    return _durations(sizes) if "seconds" in sizes else _shapes(sizes)


def _durations(sizes: dict[str, Any]) -> str:
    length = sizes["seconds"]
    text = f"durations: {length['min']:.2f} to {length['max']:.2f} s, median {length['median']:.2f} s"
    if sizes["window"] is not None:
        text += (
            f"; {sizes['shorter']:,} shorter than {sizes['window']:g} s get zeros, {sizes['longer']:,} longer are cut"
        )
    return text + "; " + ", ".join(f"{count:,} at {rate} Hz" for rate, count in sizes["rates_hz"].items())


def _shapes(sizes: dict[str, Any]) -> str:
    shapes = sizes["shapes"]
    text = "sizes: " + ", ".join(f"{each['samples']:,} samples of {_times(each['shape'])}" for each in shapes[:SHOWN])
    if len(shapes) > SHOWN:
        text += f" and {len(shapes) - SHOWN:,} other sizes"
    return text + (f"; {sizes['resized']:,} will be resized to {_times(sizes['expected'])}" if sizes["resized"] else "")


def _times(shape: list[int]) -> str:
    return "x".join(map(str, shape))


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.rule.replace('_', ' ')}: {finding.text}"
    shown = SHOWN_UNREADABLE if finding.rule == "unreadable" else SHOWN
    yield from (f"    {where}" for where in finding.where[:shown])
    if len(finding.where) > shown:
        yield f"    and {len(finding.where) - shown:,} more; --json lists all"
