"""Processes of our own, for what must not stay in this one or may end it."""

from __future__ import annotations

import os
from pathlib import Path

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""For every Python that is started here; see ``environment``."""


def environment() -> dict[str, str]:
    """Variables with which ``python -m nas...`` finds this very package, from any folder, and runs nothing of that.

    Without ``PYTHONSAFEPATH`` Python looks into the working folder first: a ``numpy.py`` in a data set would be run.
    """
    packages = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, **SAFE_PATH, "PYTHONPATH": os.pathsep.join(filter(None, packages))}
