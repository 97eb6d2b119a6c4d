"""Flags that say how the final network is trained, shared by the commands that train one."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.cli import completion

Recipe = Annotated[
    str | None,
    typer.Option(
        help="How networks are trained: a name or file. Default: the recipe of the task.",
        autocompletion=completion.recipes,
    ),
]
Track = Annotated[
    str | None,
    typer.Option(
        help="Log to this as well: tensorboard (into the run folder) or mlflow.", autocompletion=completion.trackers
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(help="A trained run of the same task, larger or better, whose answers the final training learns too."),
]
Qat = Annotated[
    bool | None,
    typer.Option(
        "--qat/--no-qat",
        help="Train the network further on the grids of its INT8 file. Default: when the file loses more than 0.3 "
        "points (0.005 AUC) on the validation split.",
    ),
]
