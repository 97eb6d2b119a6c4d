"""Names of files and folders that come to be names of classes, or stand in messages, records and pages."""

from __future__ import annotations

from pathlib import Path

from nas.errors import DataError
from nas.units import printable


def require_showable(path: Path) -> Path:
    """The same path, if its name can be written down and shows as what it is.

    Raises:
        DataError: the name is not UTF-8, or holds control characters or marks of direction.
    """
    if printable(path.name) != path.name:
        raise DataError(
            f"{path.parent}: holds the name '{printable(path.name)}', which cannot be shown: it is not UTF-8, or has "
            "control characters or marks of direction\nrename it"
        )
    return path
