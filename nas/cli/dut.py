"""``nas dut``: a network behind the serial protocol of MLPerf Tiny."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli import completion
from nas.cli.terminal import say


def dut(
    model: Annotated[Path, typer.Argument(help="Run folder or .tflite file.")],
    task: Annotated[str, typer.Option(help="The benchmark: ad, ic, ic2, kws or vww.", autocompletion=completion.tasks)],
    target: Annotated[
        str, typer.Option(help="Where it runs: host (TensorFlow Lite Micro), litert, or an emulated core or MCU.")
    ] = "host",
    pty: Annotated[Path | None, typer.Option(help="Make a link of this name to the serial port.")] = None,
    clock: Annotated[
        str, typer.Option(help="real; modelled: that of the MCU, passes at once; paced: the same, in real time.")
    ] = "real",
) -> None:
    """Be the device under test of MLPerf Tiny on a pseudo terminal, for any serial client, until Ctrl-C.

    Example: nas dut RUN --task kws --target stm32l4r5zi --clock modelled --pty board
    """
    from nas.errors import InputError
    from nas.harness.mlperf.pty import open_port, serve
    from nas.pipeline.dut import Time, make_device

    if clock not in list(Time):
        raise InputError(f"--clock {clock}: expected {', '.join(Time)}")
    device = make_device(model, task, target, Time(clock))
    try:
        with open_port(pty) as port:
            where = f"{port.name}{f', {pty}' if pty else ''}"
            say(f"{task} on {target} answers at {where}; Ctrl-C ends it", err=True)
            serve(device, port)
    except KeyboardInterrupt:
        say("ended", err=True)
