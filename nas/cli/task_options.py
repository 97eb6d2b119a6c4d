"""Flags that describe a task beside its data, shared by the commands that have them."""

from __future__ import annotations

from typing import Annotated

import typer

Input = Annotated[
    str | None,
    typer.Option(
        "--input", help="Size of the images that the network sees: 64x64x1 (height, width, grey), 96x96x3 (RGB)."
    ),
]
Keywords = Annotated[
    str | None,
    typer.Option(
        help="Spot these instead of the ten of the benchmark, with --task kws: 'lamp on, lamp off'. Without --data "
        "they are synthesised."
    ),
]
Clip = Annotated[str | None, typer.Option(help="Length of an audio clip. Default: 1s.")]
Window = Annotated[str | None, typer.Option(help="Audio that one spectrum is taken of. Default: 30ms.")]
Hop = Annotated[str | None, typer.Option(help="From one spectrum to the next. Default: 20ms.")]
Mels = Annotated[int | None, typer.Option(help="Mel bins of a spectrum. Default: 40.")]
Coefficients = Annotated[
    int | None, typer.Option(help="MFCC coefficients of a spectrum; 0: log-mel instead. Default: 10.")
]


def split_keywords(text: str | None) -> tuple[str, ...]:
    """``"lamp on, lamp off"`` -> its parts, which the task checks."""
    return () if text is None else tuple(part.strip() for part in text.split(","))
