"""Text on a terminal: names in other people's files can neither move its cursor nor pass for a line of ours."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from nas.units import printable


def say(line: str, err: bool = False) -> None:
    """Print one line on stdout or stderr."""
    typer.echo(printable(line), err=err)


def show_what_can_be_shown() -> None:
    """Have both streams write characters that their encoding lacks as escapes, in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
