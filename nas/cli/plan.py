"""``nas plan``: the same model in less SRAM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.plan.placement import DEFAULT_KERNELS, DEFAULT_PLAN

if TYPE_CHECKING:
    from rich.console import RenderableType

    from nas.pipeline.plan import Checked, Planned

PLAN_HELP = (
    "greedy: as TensorFlow Lite Micro plans by itself. packed: better packing. "
    "overlap: outputs also run into the dead part of inputs."
)
KERNELS_HELP = (
    "Kernels on which overlaps must be safe, with commas between: reference, cmsis-nn, nas-c. "
    "With reference alone plans are smaller, and wrong on CMSIS-NN."
)


def plan(
    model: Annotated[Path, typer.Argument(help="A .tflite file, of any tool.")],
    kind: Annotated[str, typer.Option("--plan", help=PLAN_HELP)] = DEFAULT_PLAN,
    kernels: Annotated[str, typer.Option(help=KERNELS_HELP)] = DEFAULT_KERNELS,
    out: Annotated[Path | None, typer.Option(help="Default: NAME.plan.tflite beside the file.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the arena before and after into this .svg, .png or .pdf file.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only check the plan that the file has already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Write a memory plan into a .tflite file, which the unmodified TensorFlow Lite Micro obeys, and prove it safe.

    Example: nas plan model.tflite --plot arena.svg
    """
    from nas.cli.console import ConsoleReporter
    from nas.errors import InputError
    from nas.plan.placement import parse_planning

    planning = parse_planning(kind, kernels)
    with ConsoleReporter() as reporter:
        from nas.pipeline.plan import check_file, plan_file

        if check:
            if out or plot:
                raise InputError("--check writes nothing: leave out --out and --plot")
            result: Planned | Checked = check_file(model, planning.kernels)
        else:
            result = plan_file(model, planning, out, plot, reporter)
    if as_json:
        typer.echo(json.dumps(result.to_json()))
        return
    from nas.cli.tables import show

    for part in _parts(result):
        show(part)


def _parts(result: Planned | Checked) -> Iterator[RenderableType]:
    from nas.pipeline.plan import Checked

    if isinstance(result, Checked):
        sets = ", ".join(result.kernels)
        tensors, size = result.planned_tensors, result.activation_bytes
        yield f"{result.path}: the plan of {tensors} tensors in {size:,} B is safe on {sets}"
        return
    yield from _charts(result)
    yield from _lines(result)


def _charts(result: Planned) -> Iterator[RenderableType]:
    """The arena over time before and after, on one scale."""
    from nas.cli.sketch import sketch
    from nas.cli.tables import LOG_WIDTH

    before, after = result.before, result.after
    yield "SRAM over time as TFLM plans it: █ live bytes, ░ gaps, ▲ peak"
    yield sketch(before, LOG_WIDTH)
    if result.plan.offsets is not None:
        yield "with the plan in the file:"
        yield sketch(after, LOG_WIDTH, scale_bytes=before.activation_bytes)


def _lines(result: Planned) -> Iterator[str]:
    before, after, sets = result.arena_before, result.arena, ", ".join(result.planning.kernels)
    yield f"{result.path}: {result.after.flash_bytes:,} B"
    if result.plan.offsets is None:
        yield f"no plan: TFLM does as well by itself, arena {before.total_bytes:,} B"
        yield from _stronger(result)
        return
    for label, old, new in (
        ("activations", before.activation_bytes, after.activation_bytes),
        ("arena", before.total_bytes, after.total_bytes),
    ):
        yield f"{label:<12}{new:,} B instead of {old:,} B, {1 - new / old:.0%} less (measured by TFLM)"
    more = result.after.flash_bytes - result.before.flash_bytes
    yield f"{'flash':<12}{more:,} B for the plan{', operators run in another order' if result.plan.reordered else ''}"
    yield f"safe on {sets}: every read and write was replayed, byte by byte"
    yield from _stronger(result)
    proof = result.proof
    yield f"outputs identical to the bit for {proof.samples} random inputs in {', '.join(proof.identical)}"
    for name, reason in proof.refused.items():
        yield f"not compared in {name}: {reason}"


def _stronger(result: Planned) -> Iterator[str]:
    """What the explicit choice would give."""
    if result.reference_bytes < result.arena.activation_bytes:
        yield (
            f"on TFLM's own kernels alone activations would take {result.reference_bytes:,} B with --kernels reference"
        )
