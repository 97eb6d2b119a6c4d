"""Train, export and prove one given network, by the same steps as the winner of a search."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path
from typing import Any

from nas import __version__
from nas.budget import Budget
from nas.engines.run_folder import RunFolder
from nas.errors import InputError
from nas.files import write_json
from nas.pipeline.reporter import Reporter
from nas.pipeline.session import open_session
from nas.pipeline.winner import make_winner
from nas.space import Architecture, load_space
from nas.tasks import get_task


def train_architecture(
    what: str, *, epochs: int, data: str | None, seed: int, device: str, out: Path | None, reporter: Reporter
) -> dict[str, Any]:
    """Train ``what`` fully and export it; returns the report that ``nas train --json`` prints.

    Args:
        what: a run folder, an ``arch.json``, or ``SPACE:POINT`` for a published network of a space.

    Raises:
        InputError: no such network, or a wrong flag.
        DataError: the data set is missing or damaged.
    """
    if epochs < 1:
        raise InputError(f"--epochs {epochs} must be at least 1")
    started = time.monotonic()
    architecture = find_architecture(what)
    task = get_task(architecture.task)
    folder = out or Path("exported") / f"{task.name}-train-{datetime.datetime.now(tz=datetime.UTC):%Y%m%d-%H%M%S}"
    record = {
        "schema": 1,
        "nas": __version__,
        "status": "training",
        "train": what,
        "epochs": epochs,
        "seed": seed,
        "data": data,
    }
    run = RunFolder.create(folder, record)
    with run.locked():
        try:
            session = open_session(task, data, seed, device, reporter)
        except InputError:
            run.discard()
            raise
        winner = make_winner(session, architecture, Budget(), epochs, run.winner)
        report = {
            "run": str(run.path),
            "task": task.name,
            "space": architecture.space,
            "seed": seed,
            "data": {**session.dataset.summary(), "notes": list(session.dataset.notes)},
            "budget": Budget().to_json(),
            "winner": winner.to_json(),
            "budget_used": {},
            "search": {
                "seconds": round(time.monotonic() - started, 1),
                "search_seconds": 0.0,
                "tme": 0.0,
                "candidates": 0,
                "trained": 0,
                "winner_epochs": epochs,
            },
            "parity": winner.parity,
        }
        write_json(run.path / "result.json", report)
        run.update(status="done")
    return report


def find_architecture(what: str) -> Architecture:
    """The network that a run folder, an ``arch.json`` or ``SPACE:POINT`` means.

    Raises:
        InputError: there is none; says what was looked for.
    """
    path = Path(what)
    if path.is_dir():
        path = path / "winner" / "arch.json"
    if path.is_file():
        try:
            return Architecture.from_json(json.loads(path.read_text()), path)
        except ValueError as cause:
            raise InputError(f"{path}: not JSON: {cause}") from cause
    space_name, colon, point = what.rpartition(":")
    if not colon:
        raise InputError(
            f"no network {what!r}: give a run folder, an arch.json, or SPACE:POINT such as kws_ds_cnn:mlperf-ds-cnn"
        )
    points = load_space(space_name).points
    if point not in points:
        raise InputError(f"the space {space_name} has no point {point!r}; it has {', '.join(points) or 'none'}")
    return points[point]
