"""Processors that a network can be built for and run on here, emulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.errors import InputError

CODE, RAM = 0x0, 0x20000000  # where images lie in the emulated memory
MEMORY_BYTES = 16 << 20  # of each: images of any size run; whether one fits a chip is asked elsewhere


@dataclass(frozen=True, slots=True)
class Core:
    """A Cortex-M; the flags choose its instructions for each compiler."""

    name: str
    gcc: tuple[str, ...]
    zig: str
    """``-mcpu`` of ``zig cc``."""
    unicorn: str
    """Constant of ``unicorn.arm_const``."""


CORES: Mapping[str, Core] = {
    core.name: core
    for core in (
        Core("cortex-m4", ("-mcpu=cortex-m4",), "cortex_m4", "UC_CPU_ARM_CORTEX_M4"),
        Core("cortex-m7", ("-mcpu=cortex-m7",), "cortex_m7", "UC_CPU_ARM_CORTEX_M7"),
        Core("cortex-m33", ("-mcpu=cortex-m33",), "cortex_m33+dsp", "UC_CPU_ARM_CORTEX_M33"),  # zig leaves DSP out
    )
}


def find_core(name: str) -> Core:
    """A core by its name.

    Raises:
        InputError: not one of ``CORES``.
    """
    if name not in CORES:
        raise InputError(f"no target {name!r}: expected host, {', '.join(CORES)}")
    return CORES[name]
