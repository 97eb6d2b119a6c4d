"""Processes of our own, for what must not stay in this one or may end it."""

from __future__ import annotations

import os
from pathlib import Path


def environment() -> dict[str, str]:
    """Variables with which ``python -m nas...`` finds this very package, from any folder."""
    packages = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, packages))}
