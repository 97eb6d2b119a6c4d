"""Print text from untrusted files. It can neither move the cursor nor imitate a line that nas prints."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from nas.units import printable


def say(line: str, err: bool = False) -> None:
    """Print one line on stdout or stderr."""
    typer.echo(printable(line), err=err)


def show_what_can_be_shown() -> None:
    """Make both streams escape characters that their encoding lacks, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
