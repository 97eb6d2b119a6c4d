"""A network on an emulated Cortex-M: whether it computes TFLM's bits there, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from nas.budget import McuSpec, load_mcu
from nas.cost.instructions import FOLDER, load_core
from nas.engines.run_folder import RunFolder
from nas.errors import InputError, ValidationError
from nas.export.c.emit import write_c
from nas.export.c.program import Program, make_program
from nas.export.c_source import identifier
from nas.harness.cores import CORES, Core, find_core
from nas.harness.emulator import Cost, EmulatedCore
from nas.harness.firmware import Compiler, Image, build_image
from nas.harness.host import find_host_compiler, run_on_host
from nas.harness.qemu import QemuCore
from nas.harness.tflm import TflmModel
from nas.harness.trial import require_runs
from nas.pipeline.cost import read_model_file
from nas.space.lookup import list_files
from nas.tasks.base import Int8Array

HOST = "host"  # not emulated
PROOF_SAMPLES = 20
RANDOM_SAMPLES = 20  # compared with TFLM beside the real ones
COUNTED_SAMPLES = 3  # counts depend on the input by some 0.02 %: where values are clamped
SEED = 0
MODEL = "model"  # name of the program where the user has not given one
TAKEN = ("main", "nas_kernels", "nas_arithmetic")  # names of files beside it


@dataclass(frozen=True, slots=True)
class WrittenC:
    """The C code of a network in a folder."""

    program: Program
    compiler: str | None
    """By which it was compared with TFLM on ``PROOF_SAMPLES`` random samples, to the bit; ``None``: there is none."""

    @property
    def proof(self) -> str:
        """What is known of its outputs."""
        if self.compiler is None:
            return "NOT PROVED: no C compiler here to compare its outputs; pip install 'mcu-nas[emulation]' has one"
        return f"compiled by {self.compiler}: TensorFlow Lite Micro's bits for {PROOF_SAMPLES} random inputs"


@dataclass(frozen=True, slots=True)
class Emulation:
    """A network in the flash of an emulated core."""

    program: Program
    image: Image
    core: EmulatedCore | QemuCore

    def costs(self, samples: Int8Array) -> dict[str, Any]:
        """Instructions of the median over some samples (n, ...), in all and of each layer; flash and RAM in bytes."""
        found = [self.core.count(sample[None]) for sample in samples[:COUNTED_SAMPLES]]
        middle: Cost = sorted(found, key=lambda cost: cost.instructions)[len(found) // 2]
        stack = max(cost.stack_bytes for cost in found)
        return {
            "instructions": int(median(cost.instructions for cost in found)),
            "layers": [
                {"name": name, "kind": layer.op.kind, "instructions": middle.layers[name]}
                for name, layer in zip(self.image.layers, self.program.layers, strict=True)
                if name in middle.layers
            ],
            "compiler": self.image.compiler,
            "image_flash_bytes": self.image.flash_bytes,
            "ram_bytes": self.image.static_bytes + stack,
            "stack_bytes": stack,
        }


@dataclass(frozen=True, slots=True)
class Target:
    """A core, and the microcontroller that it is timed as; ``None``: of none with it the time is known."""

    core: Core
    mcu: McuSpec | None

    def latency_ms(self, count: int) -> dict[str, float] | None:
        """The modelled time of so many instructions."""
        clock = self.mcu and self.mcu.clock()
        return clock.latency(count).to_json() if clock else None


def find_target(name: str) -> Target:
    """A core by its name, timed as the microcontroller that its cycles were measured on; or any microcontroller.

    Raises:
        InputError: neither, or one whose core cannot be emulated.
    """
    if name not in CORES and name not in list_files("constraints"):
        raise InputError(f"no target {name!r}: expected host, {', '.join(CORES)}, or one that nas mcus lists")
    if name not in CORES:
        mcu = _load(name)
        return Target(find_core(mcu.core.lower()), mcu)
    cycles = load_core(name).cycles if name in list_files(FOLDER) else None
    return Target(find_core(name), _load(cycles.mcu) if cycles else None)


def _load(name: str) -> McuSpec:
    spec = load_mcu(name)
    if not isinstance(spec, McuSpec):
        raise InputError(f"{name} is a budget without a core: give --target cortex-m4 or one that nas mcus lists")
    return spec


def emulate(model: bytes, core: Core) -> Emulation:
    """Generate C code for a ``.tflite`` file, compile it for a core, and load it.

    Raises:
        InputError: no compiler or emulator, or an operator for which there is no kernel.
    """
    program = make_program(model, MODEL)
    image = build_image(program, core)
    return Emulation(program, image, EmulatedCore(program, image) if core.unicorn else QemuCore(program, core))


def is_bit_exact(emulation: Emulation, tflm: TflmModel, samples: Int8Array) -> bool:
    """Whether the core gives TFLM's outputs for real samples (n, ...) and for random ones."""
    return all(
        np.array_equal(emulation.core.run(some), tflm.run(some))
        for some in (samples, _noise(samples.shape[1:], RANDOM_SAMPLES))
    )


def _noise(shape: tuple[int, ...], count: int) -> Int8Array:
    """Random samples (count, *shape), the same each time."""
    return np.random.default_rng(SEED).integers(-128, 128, (count, *shape), dtype=np.int8)


def export_c(what: Path, folder: Path) -> WrittenC:
    """Write the C code of a run's winner or of a ``.tflite`` file, once it was compared with TFLM on this machine.

    Raises:
        InputError: no such model, an operator without kernel, or the folder cannot be written or holds other things.
        ValidationError: TFLM refuses the model, or the code computes something else. Nothing is written.
    """
    path = RunFolder.open(what).model_file() if what.is_dir() else what
    name = identifier(folder.resolve().name)
    name = f"{name}_{MODEL}" if name in TAKEN else name
    if folder.is_dir() and any(folder.iterdir()) and not (folder / f"{name}.h").is_file():
        raise InputError(f"{folder} holds other files already: give --c a folder of its own")
    model = read_model_file(path)
    program = make_program(model, name)
    compiler = find_host_compiler()
    if compiler is not None:
        _prove_on_host(model, program, compiler)
    write_c(program, folder)
    return WrittenC(program, compiler and compiler.name)


def _prove_on_host(model: bytes, program: Program, compiler: Compiler) -> None:
    require_runs(model)
    tflm = TflmModel(model)
    samples = _noise(tflm.input_shape[1:], PROOF_SAMPLES)
    outputs, expected = run_on_host(program, compiler, samples), tflm.run(samples)
    if not np.array_equal(outputs, expected):
        wrong = int((outputs != expected).sum())
        raise ValidationError(
            f"the C code gives {wrong:,} of {expected.size:,} values other than TensorFlow Lite Micro, compiled by "
            f"{compiler.name}; nothing was written\nplease report it with the model"
        )
