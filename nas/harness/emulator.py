"""Runs an image on an emulated Cortex-M and counts every instruction (unicorn, which is QEMU's processor core).

Instructions are exact and the same in every run. Time is not: see ``nas.cost.latency``.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import InputError, ValidationError
from nas.export.c.program import Program
from nas.harness.cores import MEMORY_BYTES
from nas.harness.firmware import INSTALL, Image
from nas.harness.samples import run_each
from nas.tasks.base import Int8Array

STACK_BYTES = 64 << 10  # painted before a run to see how deep it goes
PAINT = 0xA5
WIDE = (0b11101, 0b11110, 0b11111)  # upper 5 bits of a 32-bit Thumb instruction (Arm v7-M manual, A5.1)
OUTSIDE = "run"  # instructions of the function that calls the layers


@dataclass(frozen=True, slots=True)
class Cost:
    """What one inference took on the core."""

    instructions: int
    layers: Mapping[str, int]
    """Instructions of each layer."""
    stack_bytes: int


class EmulatedCore:
    """A core with a network in its flash."""

    def __init__(self, program: Program, image: Image) -> None:
        """Load the image.

        Raises:
            InputError: there is no emulator.
        """
        if importlib.util.find_spec("unicorn") is None:
            raise InputError(f"no emulator for {image.core.name}: {INSTALL}")
        import unicorn
        from unicorn import arm_const

        self._image, self._registers = image, arm_const
        self._cpu = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._cpu.ctl_set_cpu_model(getattr(arm_const, image.core.unicorn))
        self._block_hook = unicorn.UC_HOOK_BLOCK
        self._stop = image.core.code + MEMORY_BYTES - 0x100  # return address of the network: no code there
        self._stack = image.core.ram + MEMORY_BYTES
        for start in (image.core.code, image.core.ram):
            self._cpu.mem_map(start, MEMORY_BYTES)
        for segment in image.segments:
            self._cpu.mem_write(segment.address, segment.data)
        arena, model = image.symbols["arena"], program.source.model
        self._run_at = image.symbols[f"{program.name}_run"]
        self._input_at, self._output_at = (arena + program.offset(tensor) for tensor in (program.input, program.output))
        self._output_bytes = program.bytes_of(program.output)
        self.input_shape = model.tensors[program.input].shape

    def run(self, inputs: Int8Array) -> Int8Array:
        """Run samples one after another: (n, ...) int8 -> (n, classes) int8.

        Raises:
            ValidationError: the core stopped where it should not.
        """
        return run_each(self._run_one, inputs, self.input_shape)

    def count(self, sample: Int8Array) -> Cost:
        """Run one sample, about 30 times slower, and count.

        Raises:
            ValidationError: the core stopped where it should not.
        """
        counted: Counter[str] = Counter()
        symbols = self._image.symbols
        starts = {symbols[name] & ~1: name for name in self._image.layers if name in symbols}
        lengths: dict[tuple[int, int], int] = {}
        current = OUTSIDE

        def on_block(cpu: Any, address: int, size: int, _: Any) -> None:
            nonlocal current
            current = starts.get(address, current)
            if (address, size) not in lengths:
                lengths[address, size] = _instructions(bytes(cpu.mem_read(address, size)))
            counted[current] += lengths[address, size]

        hook = self._cpu.hook_add(self._block_hook, on_block)
        self._cpu.ctl_flush_tb()  # blocks that were translated before have no hook
        bottom = self._stack - STACK_BYTES
        self._cpu.mem_write(bottom, bytes([PAINT]) * STACK_BYTES)
        try:
            self._run_one(sample)
        finally:
            self._cpu.hook_del(hook)
            self._cpu.ctl_flush_tb()
        stack = np.frombuffer(bytes(self._cpu.mem_read(bottom, STACK_BYTES)), np.uint8)
        touched = np.flatnonzero(stack != PAINT)
        layers = {name: counted[name] for name in self._image.layers}
        return Cost(counted.total(), layers, STACK_BYTES - int(touched[0]) if len(touched) else 0)

    def _run_one(self, sample: Int8Array) -> Int8Array:
        import unicorn

        registers = self._registers
        self._cpu.mem_write(self._input_at, sample.tobytes())
        self._cpu.reg_write(registers.UC_ARM_REG_SP, self._stack)
        self._cpu.reg_write(registers.UC_ARM_REG_LR, self._stop | 1)
        try:
            self._cpu.emu_start(self._run_at | 1, self._stop)
        except unicorn.UcError as error:
            at = self._cpu.reg_read(registers.UC_ARM_REG_PC)
            raise ValidationError(f"the emulated {self._image.core.name} stopped at {at:#x}: {error}") from error
        return np.frombuffer(bytes(self._cpu.mem_read(self._output_at, self._output_bytes)), np.int8)


def _instructions(code: bytes) -> int:
    """Instructions in a block of Thumb-2 code."""
    halfwords, at, count = np.frombuffer(code, "<u2"), 0, 0
    while at < len(halfwords):
        at += 2 if int(halfwords[at]) >> 11 in WIDE else 1
        count += 1
    return count
