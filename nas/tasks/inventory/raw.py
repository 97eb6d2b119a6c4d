"""Files of bare values."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.errors import DataError
from nas.tasks.inventory.items import Content, content_of


def read_raw(path: Path, shape: tuple[int, ...], kind: str) -> Content:
    """A file of bare values, of this shape and numpy type.

    Raises:
        DataError: not there, or of another size.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); unpack the files again") from error
    expected = int(np.prod(shape)) * np.dtype(kind).itemsize
    if len(data) != expected:
        raise DataError(f"{path}: {len(data):,} bytes, expected {expected:,} ({kind} {shape})")
    return content_of(np.frombuffer(data, kind).reshape(shape), shape)
