"""The JSON that a finished run leaves in ``result.json`` and that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nas.budget import Budget
from nas.engines.run_folder import RunFolder
from nas.files import write_json
from nas.pipeline.session import Session
from nas.pipeline.winner import Winner


def write_report(
    run: RunFolder,
    session: Session,
    winners: Sequence[Winner],
    budgets: Sequence[Budget],
    engine: str | None,
    search: dict[str, Any],
    found: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Write and return the report; ``search`` says what finding the networks took, ``found`` how
    they compare with even networks, and how a target was reached.

    The first winner is the one for the whole budget; those for parts of it stand in ``front``.
    """
    winner, budget = winners[0], budgets[0]
    report: dict[str, Any] = {
        "run": str(run.path),
        "task": session.task.name,
        "space": winner.architecture.space,
        "engine": engine,
        "seed": session.seed,
        "data": session.data_record(),
        "budget": budget.to_json(),
        "winner": winner.to_json(),
        "budget_used": _used(winner, budget),
        "search": search,
        **(found or {}),
        "parity": winner.parity,
    }
    if len(winners) > 1:
        report["front"] = [
            {"winner": each.to_json(), "budget": its.to_json(), "budget_used": _used(each, its), "parity": each.parity}
            for each, its in zip(winners, budgets, strict=True)
        ]
    write_json(run.path / "result.json", report)
    return report


def _used(winner: Winner, budget: Budget) -> dict[str, float]:
    """Share of each bound that the exported file takes."""
    measured = replace(winner.predicted, flash_bytes=winner.measured.flash_bytes, sram_bytes=winner.measured.sram_bytes)
    return budget.used(measured)
