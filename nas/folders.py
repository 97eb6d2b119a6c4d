"""Check run, study and submission folders before use. They may come from a stranger.

Nothing in such a folder may make a command read or write outside the folder, or read without end. Every command calls
``require_own`` before it uses anything in the folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nas.errors import RunFolderError

RUN = (
    *(".lock", "run.json", "result.json", "candidates.jsonl", "descent.jsonl", "shared.pt", "front.svg", "descent.svg"),
    *("report.html", "mlflow.json", "tensorboard", "finals", "smallest.json", "steps", "winner", "winner-*"),
)
STUDY = (
    *(".lock", "study.json", "results.csv", "results.parquet", "summary.md", "summary.json", "study.svg"),
    *("report.html", "recipes", "runs"),
)
SUBMISSION = (".lock", "open", "closed")
SMALL, LARGE = 1 << 26, 1 << 30  # bytes: a page, or the 100,000 candidates of a long search
SMALL_KINDS = (".json", ".svg", ".html", ".md", ".txt", ".csv")


def require_own(folder: Path, names: tuple[str, ...]) -> None:
    """Raise if an entry with one of these names is, or contains, a link, a device, a pipe or an oversized file.

    The folder itself may be reached through a link. Entries with other names belong to the user and are not checked.

    Raises:
        RunFolderError: names the first link, device or pipe, or file that is larger than nas makes any.
    """
    for path, found in _entries(folder, names):
        if stat.S_ISLNK(found.st_mode):
            raise RunFolderError(
                f"{path} is a link, which may lead anywhere: nas follows none in a folder that it made\n"
                "delete it, or put a copy of what it leads to in its place"
            )
        if stat.S_ISREG(found.st_mode):
            most = SMALL if path.suffix in SMALL_KINDS else LARGE
            if found.st_size > most:
                raise RunFolderError(f"{path} has {found.st_size:,} bytes; nas makes none of more than {most:,}")
        elif not stat.S_ISDIR(found.st_mode):
            raise RunFolderError(f"{path} is neither a file nor a folder; delete it")


def _entries(folder: Path, names: tuple[str, ...]) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield every entry with one of the names, and everything below it. Links are not followed."""
    for name in names:
        for top in folder.glob(name):
            yield top, top.lstat()
            if not top.is_symlink():
                for place, folders, files in os.walk(top):
                    yield from ((path, path.lstat()) for each in (*folders, *files) if (path := Path(place, each)))
