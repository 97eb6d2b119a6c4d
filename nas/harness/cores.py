"""Processors that a network can be built for and run on here, emulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.errors import InputError

MEMORY_BYTES = 16 << 20  # of code and of RAM in the emulator: whether an image fits a chip is asked elsewhere


@dataclass(frozen=True, slots=True)
class Core:
    """A Cortex-M: the flags choose its instructions for each compiler, the rest says where it is emulated."""

    name: str
    gcc: tuple[str, ...]
    zig: tuple[str, ...]
    unicorn: str
    """Constant of ``unicorn.arm_const``; empty: it does not have this core."""
    machine: str
    """Board of QEMU (docs/system/arm/mps2.rst)."""
    hertz: int
    """Clock of that board."""
    code: int
    """Address of its code memory."""
    ram: int
    """Address of its data memory."""
    uart: int
    """Address of its first serial port."""


# LLVM's loop strength reduction makes more pointers of the DSP kernels' loops than there are registers: without it, 2
# to 12 % fewer instructions on the networks of MLPerf Tiny. Vector loops have more of them without it.
FEWER_POINTERS = ("-mllvm", "-disable-lsr")


def _zig(cpu: str, abi: str = "eabi") -> tuple[str, ...]:
    return ("-target", f"thumb-freestanding-{abi}", f"-mcpu={cpu}")


CORES: Mapping[str, Core] = {
    core.name: core
    for core in (
        Core(
            "cortex-m4",
            ("-mcpu=cortex-m4",),
            (*_zig("cortex_m4"), *FEWER_POINTERS),
            "UC_CPU_ARM_CORTEX_M4",
            "mps2-an386",
            25_000_000,
            0x0,
            0x20000000,
            0x40004000,
        ),
        Core(
            "cortex-m7",
            ("-mcpu=cortex-m7",),
            (*_zig("cortex_m7"), *FEWER_POINTERS),
            "UC_CPU_ARM_CORTEX_M7",
            "mps2-an500",
            25_000_000,
            0x0,
            0x20000000,
            0x40004000,
        ),
        Core(
            "cortex-m33",
            ("-mcpu=cortex-m33",),
            (*_zig("cortex_m33+dsp"), *FEWER_POINTERS),  # DSP, which Zig leaves out
            "UC_CPU_ARM_CORTEX_M33",
            "mps2-an505",
            20_000_000,
            0x10000000,
            0x38000000,
            0x50200000,
        ),
        Core(
            "cortex-m55",
            ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
            _zig("cortex_m55+mve", "eabihf"),
            "",
            "mps3-an547",
            32_000_000,
            0x10000000,
            0x30000000,
            0x59303000,
        ),
    )
}


def find_core(name: str) -> Core:
    """A core by its name.

    Raises:
        InputError: not one of ``CORES``.
    """
    if name not in CORES:
        raise InputError(f"no core {name!r} can be emulated: expected {', '.join(CORES)}")
    return CORES[name]
