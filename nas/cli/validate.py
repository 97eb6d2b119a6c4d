"""``nas validate``: what a finished file gets right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli import completion
from nas.cli.terminal import say
from nas.errors import InputError, ValidationError
from nas.units import format_figures, format_latency, format_score

HEAVIEST = 4  # layers that are named


def validate(
    model: Annotated[Path, typer.Argument(help="Run folder or .tflite file.")],
    task: Annotated[
        str,
        typer.Option(
            help="What the network is for: ad, ic, ic2, kws, vww, image or audio.", autocompletion=completion.tasks
        ),
    ],
    data: Annotated[str | None, typer.Option(help="Data set, or folder of evaluation files with y_labels.csv.")] = None,
    target: Annotated[
        str,
        typer.Option(
            help="Where it runs: host, or emulated: cortex-m4, -m7, -m33, -m55, or an MCU of nas mcus; a board, "
            "serial:PORT; or qemu:MCU, a board of QEMU."
        ),
    ] = "host",
    mode: Annotated[
        str | None,
        typer.Option(
            help="Over the benchmark's serial protocol: accuracy, performance (5 windows of 10 s), or a board's energy."
        ),
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option(metavar="PORT", help="With --mode energy: of the X-NUCLEO-LPM01A that supplies the board."),
    ] = None,
    volts: Annotated[float, typer.Option(help="That it is supplied with, 1.8 to 3.3.")] = 3.3,
    out: Annotated[
        Path | None, typer.Option(help="With --mode: folder for log.txt, results.txt and results.json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Run a model in TensorFlow Lite Micro and LiteRT and score it.

    Example: nas validate kws_ref_model.tflite --task kws --data kws01/

    With --target cortex-m4 its C code runs on an emulated core too, every instruction counted; with --target
    stm32l4r5zi the time is modelled at the clock of that microcontroller. --mode and serial:PORT measure as the
    runner of MLPerf Tiny does.
    """
    from nas.cli.console import ConsoleReporter

    if mode is not None or target.startswith(("serial:", "qemu:")):
        _bench(model, task, data, target, mode or "accuracy", out, as_json, meter, volts)
        return
    if out is not None:
        raise InputError("--out goes with --mode: without it there are no files of the benchmark's runner")
    if meter is not None:
        raise InputError("--meter goes with --mode energy")
    with ConsoleReporter() as reporter:
        from nas.pipeline.validate import validate_model

        result = validate_model(model, task, data, target, reporter)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _show(result)
    if target != "host" and not result["bit_exact"]:
        raise ValidationError(f"the outputs on the emulated {target} are not those of TensorFlow Lite Micro")


def _bench(
    model: Path,
    task: str,
    data: str | None,
    target: str,
    mode: str,
    out: Path | None,
    as_json: bool,
    meter: str | None,
    volts: float,
) -> None:
    """The benchmark's own measurement."""
    from nas.cli.console import ConsoleReporter
    from nas.pipeline.bench import MeterPort, Mode, measure

    if mode not in list(Mode):
        raise InputError(f"--mode {mode}: expected {', '.join(Mode)}")
    port = MeterPort(meter, volts) if meter else None
    with ConsoleReporter() as reporter:
        result = measure(model, task, data, target, Mode(mode), out, reporter, port)
    if as_json:
        typer.echo(json.dumps(result))
    elif mode == Mode.ACCURACY:
        say(
            f"{result['benchmark']} on {target}, {result['files']} files over the serial protocol: "
            f"Top-1 {result['top1_percent']:.1f}%, AUC {result['auc']:.3f}"
        )
    elif mode == Mode.ENERGY:
        say(
            f"{result['benchmark']} on {target}: median {format_figures(result['microjoules'])} µJ per inference at "
            f"{format_figures(result['milliwatts'])} mW, {volts:g} V"
        )
    else:
        say(
            f"{result['benchmark']} on {target}: median throughput {format_figures(result['throughput'])} inferences "
            f"per second{'' if target.startswith('serial:') or target in ('host', 'litert') else ', modelled'}"
        )


def _show(result: dict[str, Any]) -> None:
    for one in result["sets"]:
        say(f"{one['name']}: {_told(one, result['metric'])}")
    if "instructions" in result:
        for line in _emulated(result):
            say(line)
        return
    say(f"arena {result['arena_bytes']:,} B, file {result['flash_bytes']:,} B")


def _emulated(result: dict[str, Any]) -> list[str]:
    """What the core did."""
    same = "the same outputs as" if result["bit_exact"] else "OTHER OUTPUTS than"
    lines = [
        f"emulated {result['target']}: {same} TFLM, {result['instructions']:,} instructions per inference "
        f"({result['compiler']})",
        f"most in {_heaviest(result)}; --json has every layer",
        f"image {result['image_flash_bytes']:,} B of flash; RAM {result['ram_bytes']:,} B: arena "
        f"{result['arena_bytes']:,} B, stack {result['stack_bytes']:,} B",
    ]
    if result["latency_ms"]:
        lines.append(f"latency on {result['mcu']}: {format_latency(result['latency_ms'])}, modelled")
    return lines


def _heaviest(result: dict[str, Any]) -> str:
    """The layers that take most instructions, with their shares."""
    layers = sorted(result["layers"], key=lambda layer: -int(layer["instructions"]))[:HEAVIEST]
    return ", ".join(f"{layer['name']} {layer['instructions'] / result['instructions']:.0%}" for layer in layers)


def _told(one: dict[str, Any], metric: str) -> str:
    """What a set of samples gave."""
    if one["correct"] is not None:
        return f"{one['correct']} of {one['total']} ({one['score']:.2%}) in LiteRT, {one['tflm_correct']} in TFLM"
    litert, tflm = (format_score(metric, one[key]) for key in ("score", "tflm_score"))
    return f"AUC {litert} over {one['total']} clips in LiteRT, {tflm} in TFLM"
