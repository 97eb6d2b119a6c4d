"""``nas train``: one given network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nas.cli import completion
from nas.cli.task_options import Clip, Coefficients, Hop, Input, Keywords, Mels, Window, split_keywords
from nas.cli.training_options import Qat, Recipe, Teacher, Track


def train(
    network: Annotated[
        str,
        typer.Argument(
            help="Run folder, arch.json, or SPACE:POINT such as kws_ds_cnn:mlperf-ds-cnn.",
            autocompletion=completion.networks,
        ),
    ],
    epochs: Annotated[int | None, typer.Option(help="Epochs of training. Default: the recipe's.")] = None,
    recipe: Recipe = None,
    teacher: Teacher = None,
    qat: Qat = None,
    data: Annotated[str | None, typer.Option(help="Folder in the official layout, or builtin.")] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Train it for this task, with its input and classes. Default: the network's own.",
            autocompletion=completion.tasks,
        ),
    ] = None,
    input_: Input = None,
    keywords: Keywords = None,
    clip: Clip = None,
    window: Window = None,
    hop: Hop = None,
    mels: Mels = None,
    coefficients: Coefficients = None,
    seed: Annotated[int, typer.Option(help="Same seed: same network on the same machine.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, or one GPU as cuda:1.")] = "auto",
    precision: Annotated[str, typer.Option(help="Arithmetic of training: 32, bf16 (mixed) or auto (32).")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Run folder. Default: exported/TASK-train-TIME.")] = None,
    track: Track = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Train, export and measure one network fully.

    Example: nas train kws_ds_cnn:mlperf-ds-cnn --data speech_commands/

    A teacher, the largest network of a space: nas train kws_micronet:largest --data speech_commands/ --out teacher/

    What it teaches: nas train kws_ds_cnn:mlperf-ds-cnn --data speech_commands/ --teacher teacher/
    """
    from nas.cli.console import ConsoleReporter

    with ConsoleReporter() as console:
        from nas.pipeline.tracking import tracked
        from nas.pipeline.train import train_architecture
        from nas.tasks import TaskSettings

        report = train_architecture(
            network,
            epochs=epochs,
            data=data,
            seed=seed,
            device=device,
            precision=precision,
            out=out,
            reporter=tracked(console, track),
            recipe_name=recipe,
            teacher=teacher,
            qat=qat,
            task_name=task,
            settings=TaskSettings(input_, split_keywords(keywords), clip, window, hop, mels, coefficients),
        )
    if as_json:
        typer.echo(json.dumps(report))
        return
    from nas.cli.tables import result_table, show

    show(result_table(report))
