"""Folders that nas makes and that may come from a stranger all the same: of a run, a study, a submission.

Nothing in one of them may make a command read or write outside of it, or without end. A command says which kind of
folder it is about to use before it uses anything in it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nas.errors import RunFolderError

RUN = (
    *(".lock", "run.json", "result.json", "candidates.jsonl", "descent.jsonl", "shared.pt", "front.svg", "descent.svg"),
    *("report.html", "mlflow.json", "tensorboard", "winner", "winner-*"),
)
STUDY = (
    *(".lock", "study.json", "results.csv", "results.parquet", "summary.md", "summary.json", "study.svg"),
    *("report.html", "recipes", "runs"),
)
SUBMISSION = (".lock", "open", "closed")
SMALL, LARGE = 1 << 26, 1 << 30  # bytes: a page, or the 100,000 candidates of a long search
SMALL_KINDS = (".json", ".svg", ".html", ".md", ".txt", ".csv")


def require_own(folder: Path, names: tuple[str, ...]) -> None:
    """See that a folder is as nas makes it: files and folders of these names hold no link and nothing without end.

    The folder itself may be reached by a link, and what else lies in it is the user's.

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
    """What has one of the names, and all that is below it; no link is followed."""
    for name in names:
        for top in folder.glob(name):
            yield top, top.lstat()
            if not top.is_symlink():
                for place, folders, files in os.walk(top):
                    yield from ((path, path.lstat()) for each in (*folders, *files) if (path := Path(place, each)))
