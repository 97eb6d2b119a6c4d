"""Processes of our own, for what must not stay in this one or may end it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SAFE_PATH = {"PYTHONSAFEPATH": "1"}


@contextmanager
def safe_path() -> Iterator[None]:
    """What is started inside, by libraries too, runs nothing of the working folder; see ``environment``."""
    before = {name: os.environ.get(name) for name in SAFE_PATH}
    os.environ |= SAFE_PATH
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def environment() -> dict[str, str]:
    """Variables with which ``python -m nas...`` finds this very package, from any folder, and runs nothing of that.

    Without ``PYTHONSAFEPATH`` Python looks into the working folder first: a ``numpy.py`` in a data set would be run.
    """
    packages = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, **SAFE_PATH, "PYTHONPATH": os.pathsep.join(filter(None, packages))}
