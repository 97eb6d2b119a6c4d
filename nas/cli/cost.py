"""``nas cost``: what a model or a network takes, layer by layer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli import completion
from nas.units import format_figures

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from nas.cost.cost_report import LayerCost
    from nas.cost.latency import Latency
    from nas.pipeline.cost import Fit, ModelCost, SpaceCost

LAYER_COLUMNS = ("#", "layer", "kind", "output", "MACs", "params", "const B", "live B", "top B", "")
NAME_COLUMN = 1
SHORTEST_NAME = 12  # columns
BOUNDS = {"flash_bytes": "flash", "sram_bytes": "SRAM", "ops": "ops"}


def cost(
    model: Annotated[
        str,
        typer.Argument(
            help="A .tflite file, a run folder, an arch.json, a search space, or SPACE:POINT.",
            autocompletion=completion.networks,
        ),
    ],
    plot: Annotated[Path | None, typer.Option(help="Draw SRAM over time into this .svg, .png or .pdf file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show ops, flash and SRAM of a model, layer by layer, and which microcontrollers it fits.

    Example: nas cost model.tflite --plot model.svg
    """
    from nas.pipeline.cost import SpaceCost, find_cost, write_plot

    found = find_cost(model)
    if plot is not None:
        write_plot(found, plot)
    if as_json:
        typer.echo(json.dumps(found.to_json()))
        return
    from rich.console import Group

    from nas.cli.tables import show

    show(Group(*(_space_parts(found) if isinstance(found, SpaceCost) else _model_parts(found))))


def _model_parts(found: ModelCost) -> list[RenderableType]:
    from rich.text import Text

    from nas.cli.sketch import sketch

    count, width = len(found.report.layers), _width()
    return [
        _title(f"{found.name}: {count} operator{'s'[: count != 1]}"),
        _layer_table(found, width),
        _title("\nSRAM over time: █ live bytes, ░ gaps in the memory plan, ▲ peak"),
        sketch(found.report, width),
        Text(),
        _totals(found),
        *_model_fits(found),
    ]


def _layer_table(found: ModelCost, width: int) -> Table:
    """One row per operator; names are cut so that the figures fit."""
    peak = found.report.peak
    rows = [_layer_cells(index, layer, index == peak) for index, layer in enumerate(found.report.layers)]
    columns = [index for index in range(len(LAYER_COLUMNS)) if index != NAME_COLUMN or any(row[index] for row in rows)]
    others = [index for index in columns if index != NAME_COLUMN]
    taken = sum(1 + max(len(row[index]) for row in [LAYER_COLUMNS, *rows]) for index in others)
    for row in rows:
        row[NAME_COLUMN] = _shorten(row[NAME_COLUMN], max(width - taken - 1, SHORTEST_NAME))
    table = _table([LAYER_COLUMNS[index] for index in columns], left={"layer", "kind", ""})
    for number, row in enumerate(rows):
        table.add_row(*(_plain(row[index]) for index in columns), style="bold red" if number == peak else "")
    return table


def _layer_cells(index: int, layer: LayerCost, peak: bool) -> list[str]:
    shape = layer.output_shape
    sizes = shape[1:] if len(shape) > 1 and shape[0] == 1 else shape  # the batch of 1 is left out
    figures = (layer.params, layer.constant_bytes, layer.live_bytes, layer.top_bytes)
    return [
        str(index + 1),
        layer.name,
        layer.kind,
        "x".join(map(str, sizes)) or "scalar",
        "?" if layer.macs is None else f"{layer.macs:,}",
        *(f"{figure:,}" for figure in figures),
        "◀" if peak else "",
    ]


def _totals(found: ModelCost) -> Table:
    from rich.table import Table

    from nas.pipeline.cost import OPS_DEFINITION

    report = found.report
    least = "at least " if report.unsupported else ""
    planned, kept = f"{report.activation_bytes:,} planned", f"{report.persistent_bytes:,} persistent"
    rows = [
        ("flash", f"{report.flash_bytes:,} B", f"the file{_savings(found)}"),
        ("SRAM", f"{least}{report.sram_bytes:,} B", f"arena on a 64-bit host: {planned} + {kept}"),
        ("", f"{least}{report.sram_32bit_bytes:,} B", "arena on a 32-bit core, modelled: pointers are half as long"),
        ("ops", f"{least}{report.ops:,}", OPS_DEFINITION),
        ("MACs", f"{least}{report.macs:,}", ""),
        ("params", f"{report.params:,}", "weights and biases"),
        ("peak", f"{report.layers[report.peak].top_bytes:,} B", _peak(found)),
    ]
    if found.arena is not None and found.arena.total_bytes != report.sram_bytes:
        parts = f"{found.arena.activation_bytes:,} activations + {found.arena.persistent_bytes:,} persistent"
        rows.insert(2, ("", f"{found.arena.total_bytes:,} B", f"arena as TensorFlow Lite Micro measures it: {parts}"))
    for core, count in found.instructions.items():
        rows.append(("instructions", f"{count:,}", f"of the C code of nas export --c on {core}, modelled"))
    planned_bytes = found.planned_sram_bytes
    if planned_bytes is not None and planned_bytes < report.sram_bytes:
        less = 1 - planned_bytes / report.sram_bytes
        rows.insert(3, ("", f"{least}{planned_bytes:,} B", f"arena after nas plan, {less:.0%} less"))
    if report.unsupported:
        rows.append(("unknown", "", f"{', '.join(report.unsupported)}: not counted, so totals are lower bounds"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "right", "left"):
        grid.add_column(justify=justify, no_wrap=justify == "right")
    for row in rows:
        grid.add_row(*map(_plain, row))
    return grid


def _savings(found: ModelCost) -> str:
    flash, slim = found.report.flash_bytes, found.slim_flash_bytes
    if slim is None or slim >= flash:
        return ""
    return f"; nas export slims it to {slim:,} B, {1 - slim / flash:.0%} less"


def _peak(found: ModelCost) -> str:
    report = found.report
    layer = report.layers[report.peak]
    gaps = layer.top_bytes - layer.live_bytes
    return f"at operator {report.peak + 1}, {layer.kind}: {layer.live_bytes:,} live + {gaps:,} in gaps"


def _model_fits(found: ModelCost) -> list[RenderableType]:
    """Flash and SRAM of every budget; what does not fit says no, what is not known for certain says ≥."""
    columns, rows = ["budget", "flash", "SRAM"], [[fit.name] for fit in found.fits]
    for row, fit in zip(rows, found.fits, strict=True):
        row += [_share(fit, key, found) for key in ("flash_bytes", "sram_bytes")]
    if found.instructions:
        columns.append("ms, modelled")
        for row, fit in zip(rows, found.fits, strict=True):
            row.append(_milliseconds(fit.latency))
    count = sum(fit.fits for fit in found.fits)
    most = "at most " if found.report.unsupported else ""
    title = f"\nfits {most}{count} of {len(rows)} budgets; share of what each leaves for a model"
    table = [_title(title), _two_panes(columns, rows)]
    if found.refusal is None:
        return table
    if most:  # firmware may bring the operators that are not known here
        return [*table, _title(f"\nas it is: {found.refusal}")]
    return [_title(f"\nfits nothing: {found.refusal}")]


def _milliseconds(latency: Latency | None) -> str:
    return f"{format_figures(latency.low)}-{format_figures(latency.high)}" if latency else "-"


def _share(fit: Fit, key: str, found: ModelCost) -> str:
    share = fit.used.get(key)
    if share is None:
        return "-"
    certain = key == "flash_bytes" or not found.report.unsupported
    verdict = "no" if share > 1 else "ok" if certain else "≥ "
    return f"{verdict} {_percent(share):>4}"


def _percent(share: float) -> str:
    """``12%``, and ``53x`` where a percentage would have four digits."""
    return f"{share:.0%}" if share < 9.995 else f"{share:.0f}x"


def _space_parts(found: SpaceCost) -> list[RenderableType]:
    from rich.text import Text

    from nas.pipeline.cost import OPS_DEFINITION

    ends = (found.smallest, found.largest)
    count = f"{found.networks:,}" if found.networks < 10**12 else f"{found.networks:.3g}"
    totals = _table(["", "smallest", "largest"], left={""})
    for key, label in {
        "flash_bytes": "flash, bytes of the .tflite",
        "sram_bytes": "SRAM, bytes of the arena on a 64-bit host",
        "activation_bytes": "  planned",
        "persistent_bytes": "  persistent",
        "sram_32bit_bytes": "SRAM, bytes of the arena on a 32-bit core, modelled",
        "ops": "ops",
        "macs": "MACs",
        "params": "params",
    }.items():
        totals.add_row(label, *(f"{end.totals()[key]:,}" for end in ends))
    pairs = zip(*(end.fits for end in ends), strict=True)
    rows = [[low.name, _binding(low), _binding(high)] for low, high in pairs]
    small, large = (len(end.fitting) for end in ends)
    return [
        _title(f"{found.name} ({found.task}): {count} networks"),
        totals,
        Text(f"ops: {OPS_DEFINITION}"),
        _title(
            f"\nfits, of {len(rows)} budgets: {small} the smallest, {large} the largest; share of the bound that binds"
        ),
        _two_panes(["budget", "smallest", "largest"], rows),
    ]


def _binding(fit: Fit) -> str:
    """The bound of which most is taken."""
    key = max(fit.used, key=lambda name: fit.used[name])
    return f"{'ok' if fit.fits else 'no'} {BOUNDS[key]:>5} {_percent(fit.used[key]):>4}"


def _two_panes(columns: list[str], rows: Sequence[Sequence[str]]) -> Table:
    """A long narrow table as two halves side by side; cells that begin with no are red."""
    table = _table([*columns, "    ", *columns], left={"budget"})
    half = -(-len(rows) // 2)
    empty = [""] * len(columns)
    for left, right in zip(rows[:half], [*rows[half:], *[empty] * (2 * half - len(rows))], strict=True):
        table.add_row(*(_plain(cell, "red" if cell.startswith("no ") else "") for cell in (*left, "", *right)))
    return table


def _table(columns: Sequence[str], left: set[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=True)
    return table


def _title(text: str) -> RenderableType:
    return _plain(text, "bold")


def _plain(text: str, style: str = "") -> RenderableType:
    """Text as it is: names of models and layers are no markup."""
    from rich.text import Text

    return Text(text, style=style)


def _shorten(name: str, width: int) -> str:
    return name if len(name) <= width else f"…{name[1 - width :]}"


def _width() -> int:
    from rich.console import Console

    from nas.cli.tables import LOG_WIDTH

    console = Console()
    return min(console.width, LOG_WIDTH) if console.is_terminal else LOG_WIDTH
