"""Files of bare values."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.errors import DataError
from nas.files import read_bytes
from nas.tasks.inventory.items import Content, content_of


def read_raw(path: Path, shape: tuple[int, ...], kind: str) -> Content:
    """A file of bare values, of this shape and numpy type.

    Raises:
        DataError: not there, or of another size.
    """
    data = read_bytes(path, DataError, "unpack the files again")
    expected = int(np.prod(shape)) * np.dtype(kind).itemsize
    if len(data) != expected:
        raise DataError(f"{path}: {len(data):,} bytes, expected {expected:,} ({kind} {shape})")
    return content_of(np.frombuffer(data, kind).reshape(shape), shape)
