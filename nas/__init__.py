"""Neural architecture search for microcontrollers: INT8 networks that provably fit.

>>> import nas
>>> result = nas.search("kws", flash="256KB", sram="128KB", time="45m", data="speech_commands")  # doctest: +SKIP
>>> result.report["winner"]["int8_score"]  # doctest: +SKIP
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.pipeline.reporter import Reporter
    from nas.pipeline.search import SearchResult

__version__ = "0.1.0"
__all__ = ["__version__", "search"]


def search(
    task: str, *, out: str | Path | None = None, reporter: Reporter | None = None, **options: Any
) -> SearchResult:
    """Do what ``nas search`` does: find, train, export and prove a network within a budget.

    Args:
        task: what the network is for, for example ``"kws"``.
        out: run folder; by default ``exported/TASK-TIME``.
        reporter: told how the work goes; silent by default.
        options: the flags of ``nas search``, with ``_`` for ``-``: ``flash="256KB"``, ``train_epochs=40``.

    Raises:
        nas.errors.NasError: as the command line would; see ``nas.errors`` for the kinds.
    """
    from nas.errors import InputError
    from nas.pipeline.reporter import Reporter
    from nas.pipeline.request import SearchOptions, plan_search

    try:
        asked = SearchOptions(task, **options)
    except TypeError as cause:
        raise InputError(f"nas.search: {cause}") from cause
    plan = plan_search(asked)
    from nas.pipeline.search import start_search

    return start_search(plan, None if out is None else Path(out), reporter or Reporter())
