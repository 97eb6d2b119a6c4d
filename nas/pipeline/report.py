"""The JSON that a finished run leaves in ``result.json`` and that ``--json`` prints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nas.budget import Budget
from nas.engines.run_folder import RunFolder
from nas.files import write_json
from nas.pipeline.session import Session
from nas.pipeline.winner import Winner


def write_report(
    run: RunFolder, session: Session, winner: Winner, budget: Budget, engine: str | None, search: dict[str, Any]
) -> dict[str, Any]:
    """Write and return the report; ``search`` says what finding the network took."""
    measured = replace(winner.predicted, flash_bytes=winner.measured.flash_bytes, sram_bytes=winner.measured.sram_bytes)
    report = {
        "run": str(run.path),
        "task": session.task.name,
        "space": winner.architecture.space,
        "engine": engine,
        "seed": session.seed,
        "data": session.data_record(),
        "budget": budget.to_json(),
        "winner": winner.to_json(),
        "budget_used": budget.used(measured),
        "search": search,
        "parity": winner.parity,
    }
    write_json(run.path / "result.json", report)
    return report
