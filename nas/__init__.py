"""Neural architecture search for microcontrollers: INT8 networks that provably fit."""

from __future__ import annotations

__version__ = "0.1.0"
