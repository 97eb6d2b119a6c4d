"""``nas report``: a run as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.terminal import say


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a finished search or training.")],
    out: Annotated[Path | None, typer.Option(help="Default: report.html in the folder of the run.")] = None,
) -> None:
    """Write one HTML file that shows a run: scores, budget, front, memory, layers, classes, and how to have it again.

    Example: nas report exported/kws-20261122-101500

    The file needs no network and no other file; a search or training writes it by itself when it ends.
    """
    from nas.pipeline.page import write_page

    say(str(write_page(run, out)))
