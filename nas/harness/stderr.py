"""Catches what C++ runtimes write past Python, straight to file descriptor 2."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator

LONGEST_TEXT = 2**16  # bytes


@contextlib.contextmanager
def captured_stderr() -> Iterator[Callable[[], str]]:
    """Divert file descriptor 2 of the whole process; yields a function that returns what was written."""
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: os.pread(file.fileno(), LONGEST_TEXT, 0).decode(errors="replace")
        finally:
            os.dup2(saved, 2)
            os.close(saved)
