"""Check file and folder names before they become class names or appear in messages, records and pages."""

from __future__ import annotations

from pathlib import Path

from nas.errors import DataError
from nas.units import printable


def require_showable(path: Path) -> Path:
    """Return the path, or raise if its name cannot be displayed safely.

    Raises:
        DataError: the name is not UTF-8, or holds control characters or marks of direction.
    """
    if printable(path.name) != path.name:
        raise DataError(
            f"{path.parent}: holds the name '{printable(path.name)}', which cannot be shown: it is not UTF-8, or has "
            "control characters or marks of direction\nrename it"
        )
    return path
