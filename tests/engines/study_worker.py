"""One worker of a shared study, as a process of its own: writes each evaluation and each candidate to its file."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from nas.budget import Budget
from nas.engines import Report, SearchRequest, StudyPlace, get_engine
from nas.space import Architecture, load_space

IDENTITY = {"space": "toy", "budget": "all"}


def main(engine: str, space: str, url: str, limit: str, hang_at: str, file: str) -> None:
    """Work until ``limit``; the evaluation number ``hang_at`` of this process, from 1, never ends."""
    evaluated = 0

    def write(**line: object) -> None:
        with Path(file).open("a") as out:
            out.write(json.dumps(line) + "\n")

    def evaluate(architecture: Architecture, number: int, report: Report) -> tuple[float, float]:
        nonlocal evaluated
        evaluated += 1
        write(started=number, network=architecture.digest, worker=os.getpid())
        time.sleep(1000 if evaluated == int(hang_at) else 0.3)
        return int(architecture.digest, 16) / 16**12, 0.3

    place = StudyPlace(url, "toy", IDENTITY, heartbeat_seconds=1, grace_seconds=10)
    request = SearchRequest(
        load_space(space),
        Budget(flash_bytes=10**9),
        evaluate,
        lambda found: False,
        0,
        limit=int(limit),
        study=place,
    )
    write(ready=os.getpid())
    for candidate in get_engine(engine)(request):
        write(found=candidate.to_json())


if __name__ == "__main__":
    main(*sys.argv[1:])
