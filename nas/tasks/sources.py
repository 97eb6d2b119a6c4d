"""Where a task's data comes from when the user names a folder, ``builtin``, or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from nas.errors import DataError

BUILTIN = "builtin"


def resolve_source(task: str, source: str | Path | None) -> Path | None:
    """Find the folder to read, or None for builtin data.

    An explicit folder comes first, then the word ``builtin`` (a folder of that name is ``./builtin``), then
    ``$NAS_DATA/<task>``, then ``<user cache>/mcu-nas/data/<task>``, then builtin data.

    Raises:
        DataError: a folder was named and is not there.
    """
    if source == BUILTIN:
        return None
    if source is not None:
        return _named(task, Path(source))
    return next((folder for folder in default_folders(task) if folder.is_dir()), None)


def default_folders(task: str) -> list[Path]:
    """List the folders that are tried when the user names none, first choice first."""
    root = os.environ.get("NAS_DATA")
    from_environment = [Path(root).expanduser() / task] if root else []
    return [*from_environment, user_cache() / "data" / task]


def user_cache() -> Path:
    """Give the user's cache folder of this program."""
    return platformdirs.user_cache_path("mcu-nas", appauthor=False)


def _named(task: str, folder: Path) -> Path:
    folder = folder.expanduser()
    if folder.is_dir():
        return folder
    found = "is a file" if folder.exists() else "does not exist"
    raise DataError(
        f"data folder {folder} {found}: give the unpacked data set's folder, or {BUILTIN!r} for a small "
        f"generated {task} set"
    )
