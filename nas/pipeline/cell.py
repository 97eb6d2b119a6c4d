"""One run of a study, in a process of its own.

Nothing of the package is imported before the study's ``defaults`` are set: modules take them when they are imported.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

BUSY = "busy"


def end_with(parent: int) -> None:
    """Make this process end when ``parent`` does, however that ends; its run waits to be resumed.

    Called as a worker starts: one whose pool was killed before it had any work would wait for it for ever.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_cell(
    options: dict[str, Any], defaults: dict[str, Any], folder: Path, threads: int | None
) -> dict[str, Any] | str:
    """Search, or go on with what was begun; what was measured, or ``BUSY`` where another process is at it.

    Args:
        options: of ``SearchOptions``.
        defaults: values of ``nas.defaults`` in place of its own.
        folder: of the run.
        threads: of torch; by default all.
    """
    import nas.defaults

    for name, value in defaults.items():
        setattr(nas.defaults, name, value)
    from nas.errors import BusyRunError, ValidationError
    from nas.pipeline.reporter import Reporter
    from nas.pipeline.request import SearchOptions, plan_search
    from nas.pipeline.search import resume_search, start_search

    if threads:
        import torch

        torch.set_num_threads(threads)
    if (done := measured(folder)) is not None:
        return done
    try:
        if (folder / "run.json").exists():
            resume_search(folder, Reporter())
        else:
            start_search(plan_search(SearchOptions(**options)), folder, Reporter())
    except BusyRunError:
        return BUSY
    except ValidationError:
        if measured(folder) is None:  # its network fits, or was not measured: something else is wrong
            raise
    found = measured(folder)
    assert found is not None
    return found


def measured(folder: Path) -> dict[str, Any] | None:
    """What the winner of a run was measured with, whether it fits its budget or not; none before it was."""
    proof = folder / "winner" / "validation.json"
    if not proof.is_file():
        return None
    from nas.engines.run_folder import RunFolder
    from nas.errors import RunFolderError
    from nas.files import as_written, read_json

    run, winner = RunFolder.open(folder).record(), read_json(proof, RunFolderError)
    with as_written(proof, RunFolderError):
        return _figures(folder, run, winner)


def _figures(folder: Path, run: dict[str, Any], winner: dict[str, Any]) -> dict[str, Any]:
    budget, latency = run["budget"], winner["latency_ms"]
    search_seconds = run["search_seconds"] + run.get("final_seconds", 0.0)
    found = {**winner["measured"], "ops": winner["predicted"]["ops"]}
    over = [name for name in ("flash_bytes", "sram_bytes") if budget.get(name) and found[name] > budget[name]]
    return {
        "int8_score": winner["int8_score"],
        "float_score": winner["float_score"],
        "validation_score": winner["float_validation_score"],
        "metric": winner["metric"],
        "flash_bytes": found["flash_bytes"],
        "sram_bytes": found["sram_bytes"],
        "predicted_sram_bytes": winner["predicted"]["sram_bytes"],
        "ops": found["ops"],
        "latency_ms": latency and latency["modelled"],
        "fits": not over,
        "candidates": (folder / "candidates.jsonl").read_bytes().count(b"\n"),
        "search_seconds": round(search_seconds, 1),
        "tme": round(search_seconds / winner["train_seconds"], 3),
        "train_seconds": winner["train_seconds"],
        "synthetic": winner["data"]["synthetic"],
        "data": winner["data"]["name"],
        "network": winner["summary"],
    }
