"""Finished runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.engines.run_folder import RunFolder
from nas.errors import InputError


def compare_runs(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """What each run found, in the order given.

    Raises:
        InputError: fewer than two runs, or runs of different tasks.
        RunFolderError: no run there, or one that is not finished.
    """
    if len(runs) < 2:
        raise InputError("give two runs or more to compare")
    found = [_facts(run) for run in runs]
    if len(tasks := {each["task"] for each in found}) > 1:
        raise InputError(f"runs of {' and '.join(sorted(tasks))} have no scores in common")
    return found


def _facts(path: Path) -> dict[str, Any]:
    with RunFolder.open(path).result() as report:
        return _described(path, report)


def _described(path: Path, report: dict[str, Any]) -> dict[str, Any]:
    winner, search, latency = report["winner"], report["search"], report["winner"].get("latency_ms")
    return {
        "run": str(path),
        "task": str(report["task"]),
        "space": report["space"],
        "engine": report["engine"],
        "network": winner["summary"],
        "metric": str(winner["metric"]),
        "int8_score": _number(winner["int8_score"]),
        "float_score": _number(winner["float_score"]),
        "flash_bytes": _number(winner["measured"]["flash_bytes"]),
        "sram_bytes": _number(winner["measured"]["sram_bytes"]),
        "ops": _number(winner["predicted"]["ops"]),
        "latency_ms": _number(latency and latency["modelled"]),
        "epochs": search["winner_epochs"],
        "tme": _number(search.get("tme")),
        "seed": report["seed"],
        "data": report["data"]["name"],
        "synthetic": report["data"]["synthetic"],
        "test": winner["int8_total"],
        "fingerprint": str(report["data"]["fingerprint"]),
    }


def _number(value: Any) -> Any:
    """A number, or null where it is not known; else ``TypeError``."""
    if value is not None and not isinstance(value, int | float):
        raise TypeError(f"expected a number, found {value!r}")
    return value
