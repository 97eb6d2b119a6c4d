"""``nas export``: the file that goes to the device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.plan import KERNELS_HELP, PLAN_HELP
from nas.cli.terminal import say
from nas.errors import InputError

if TYPE_CHECKING:
    from nas.pipeline.export import Exported


def export(
    model: Annotated[Path, typer.Argument(help="A .tflite file, of any tool, or a run folder.")],
    slim: Annotated[
        bool,
        typer.Option(help="Leave out what no runtime reads; --no-slim, of a run, keeps names and ranges for tools."),
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Default: NAME.slim.tflite beside the file; of a run winner/model.tflite or model.full.tflite."
        ),
    ] = None,
    plan: Annotated[str | None, typer.Option(help=f"{PLAN_HELP} Default: overlap; a plan in the file is kept.")] = None,
    kernels: Annotated[str | None, typer.Option(help=KERNELS_HELP)] = None,
    c: Annotated[
        Path | None,
        typer.Option("--c", metavar="DIR", help="Write the network as C99 into this folder instead, kernels and all."),
    ] = None,
    dut: Annotated[
        str | None,
        typer.Option(metavar="TASK", help="With --c: MLPerf Tiny's device protocol too, for kws, vww, ic, ic2 or ad."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Write a smaller .tflite file that computes the same bits in less SRAM, and prove it.

    Example: nas export model.tflite --out small.tflite

    With --c DIR: C source that computes TFLM's bits, for any C99 compiler; no heap, no library. With --dut TASK it is
    MLPerf Tiny's device under test on any board that has a serial port and a clock.
    """
    from nas.cli.console import ConsoleReporter
    from nas.plan.placement import parse_planning

    if c is not None:
        _export_c(model, c, dut, as_json)
        return
    if dut is not None:
        raise InputError("--dut TASK goes with --c DIR")
    with ConsoleReporter() as reporter:
        from nas.pipeline.export import export_model

        planning = parse_planning(plan, kernels) if plan or kernels else None
        result = export_model(model, slim, out, reporter, planning)
    if as_json:
        typer.echo(json.dumps(result.to_json()))
        return
    for line in _lines(result):
        say(line)


def _export_c(model: Path, folder: Path, dut: str | None, as_json: bool) -> None:
    from nas.cli.console import ConsoleReporter
    from nas.pipeline.dut import export_firmware
    from nas.pipeline.emulate import export_c

    with ConsoleReporter() as reporter:
        reporter.note("compiling the code for this machine, and comparing its outputs with TensorFlow Lite Micro")
        written = export_c(model, folder) if dut is None else export_firmware(model, folder, dut)
    program = written.program
    if as_json:
        found = {"folder": str(folder), "arena_bytes": program.arena_bytes, "compared_by": written.compiler}
        typer.echo(json.dumps(found))
        return
    say(f"{folder}/{program.name}.c and beside it; {program.arena_bytes:,} B of RAM for activations")
    say(written.proof)
    run = f"./{program.name} < input.bin" if dut is None else f"echo 'profile%' | ./{program.name}"
    say(f"try it: cc {folder}/*.c -o {program.name} && {run}")


def _lines(result: Exported) -> list[str]:
    before, after = result.original_bytes, result.flash_bytes
    lines = [f"{result.path}: {after:,} B"]
    if result.proof is None:
        return lines
    saved = before - after
    more_or_less = f"{abs(saved):,} B ({abs(saved) / before:.1%}) {'less' if saved > 0 else 'more'} than {before:,} B"
    lines[0] += f", {more_or_less}" if saved else ", nothing to leave out"
    parts = [f"{name} {size:,} B" for name, size in result.dropped.items() if size > 0]
    if parts:
        lines.append(f"left out: {', '.join(parts)}")
    if result.planned is not None and result.planned.plan.offsets is not None:
        less, more = result.planned.arena.activation_bytes, result.planned.arena_before.activation_bytes
        lines.append(f"memory plan in the file: {less:,} B of activations instead of {more:,} B (measured by TFLM)")
    proof = result.proof
    lines.append(f"outputs identical to the bit for {proof.samples} random inputs in {', '.join(proof.identical)}")
    if proof.distinct == 1:
        lines.append("the network gives the same output for all of them, so that this proves little")
    return lines + [f"not compared in {name}: {reason}" for name, reason in proof.refused.items()]
