"""``nas submit``: MLPerf Tiny submissions."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nas.errors import ValidationError


def submit(
    check: Annotated[Path, typer.Option(help="Folder of a submission, ours or not, that holds open/ or closed/.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Check an MLPerf Tiny submission: every rule of the official checker, and those that it misses.

    Exit code 4: something is wrong; each finding is a line.

    Example: nas submit --check submission/
    """
    from nas.submission.checker import check as check_tree

    checked = check_tree(check)
    if as_json:
        findings = [asdict(finding) for finding in checked.findings]
        typer.echo(json.dumps({"results": list(checked.results), "findings": findings}))
    else:
        for finding in checked.findings:
            typer.echo(str(finding))
        typer.echo(f"{len(checked.results)} results, {len(checked.findings)} findings")
    if checked.findings:
        raise ValidationError(f"{check} is no valid MLPerf Tiny submission: {len(checked.findings)} findings")
