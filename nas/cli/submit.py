"""``nas submit``: MLPerf Tiny submissions, written and checked."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.terminal import say
from nas.errors import InputError, ValidationError

if TYPE_CHECKING:
    from nas.submission.checker import Checked


def submit(
    runs: Annotated[list[Path] | None, typer.Argument(help="Finished runs, of one or more tasks.")] = None,
    check: Annotated[
        Path | None, typer.Option(help="Only check a submission, ours or not: a folder that holds open/ or closed/.")
    ] = None,
    org: Annotated[str | None, typer.Option(help="Who submits.")] = None,
    mcu: Annotated[str, typer.Option(help="Microcontroller that is emulated, or the board has.")] = "stm32l4r5zi",
    target: Annotated[
        str | None,
        typer.Option(metavar="serial:PORT", help="Measure one run on a board, with the firmware of nas export --dut."),
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option(metavar="PORT", help="Add the board's energy: of the X-NUCLEO-LPM01A that supplies it."),
    ] = None,
    volts: Annotated[float, typer.Option(help="That it is supplied with, 1.8 to 3.3.")] = 3.3,
    data: Annotated[
        Path | None, typer.Option(help="Folder with the evaluation files: kws01, vww01, ic01, ad01.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the submission.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Write an open-division submission from finished runs, or check one.

    Each network is measured over the benchmark's serial protocol on an emulated microcontroller, in modelled time, or
    on a board; the tree says so, and that it is unverified. What stands in --out stays, and is not measured again. A
    check applies every rule of the official checker, and those that it misses.

    Exit code 4: the submission is not valid; each finding is a line.

    Examples:

    nas submit kws-run/ vww-run/ --org NAME --data mlperf/ --out submission/

    nas submit kws-run/ --target serial:/dev/ttyACM0 --org NAME --data mlperf/ --out submission/

    nas submit --check submission/
    """
    from nas.submission.checker import check as check_tree

    if check is not None:
        _tell(check_tree(check), check, as_json)
        return
    if not runs or org is None or data is None or out is None:
        raise InputError("give runs with --org NAME, --data FOLDER and --out FOLDER, or --check FOLDER")
    from nas.cli.console import ConsoleReporter
    from nas.pipeline.bench import SERIAL, MeterPort
    from nas.pipeline.submit import Board, write_submission

    if target is not None and not target.startswith(SERIAL):
        raise InputError(f"--target {target}: expected {SERIAL}PORT; what is emulated is --mcu")
    if meter is not None and target is None:
        raise InputError("--meter goes with --target serial:PORT")
    board = Board(target, MeterPort(meter, volts) if meter else None) if target else None
    with ConsoleReporter() as reporter:
        results = write_submission(runs, org, mcu, data, out, reporter, board)
    if not as_json:
        for result in results:
            say(
                f"{result.system} {result.benchmark}: {result.accuracy}, {result.throughput:.1f} inferences per second"
                f"{'' if result.board else ' modelled'}, flash {result.flash_bytes:,} B, RAM {result.ram_bytes:,} B"
            )
    _tell(check_tree(out), out, as_json)


def _tell(checked: Checked, root: Path, as_json: bool) -> None:
    if as_json:
        findings = [asdict(finding) for finding in checked.findings]
        typer.echo(json.dumps({"submission": str(root), "results": list(checked.results), "findings": findings}))
    else:
        for finding in checked.findings:
            say(str(finding))
        say(f"{len(checked.results)} results, {len(checked.findings)} findings")
    if checked.findings:
        raise ValidationError(f"{root} is no valid MLPerf Tiny submission: {len(checked.findings)} findings")
