"""Finished runs side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.engines.run_folder import RunFolder
from nas.errors import InputError, RunFolderError


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
    run = RunFolder.open(path)
    result = path / "result.json"
    if not result.is_file():
        raise RunFolderError(f"the run in {path} is {run.record().get('status', 'not finished')}: there is no {result}")
    report = json.loads(result.read_text())
    winner, search, latency = report["winner"], report["search"], report["winner"].get("latency_ms")
    return {
        "run": str(path),
        "task": report["task"],
        "space": report["space"],
        "engine": report["engine"],
        "network": winner["summary"],
        "metric": winner["metric"],
        "int8_score": winner["int8_score"],
        "float_score": winner["float_score"],
        "flash_bytes": winner["measured"]["flash_bytes"],
        "sram_bytes": winner["measured"]["sram_bytes"],
        "ops": winner["predicted"]["ops"],
        "latency_ms": latency and latency["modelled"],
        "epochs": search["winner_epochs"],
        "tme": search.get("tme"),
        "seed": report["seed"],
        "data": report["data"]["name"],
        "synthetic": report["data"]["synthetic"],
        "test": winner["int8_total"],
        "fingerprint": report["data"]["fingerprint"],
    }
