"""Networks on emulated cores compute the bits of TensorFlow Lite Micro, and every instruction is counted."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from made_networks import random_network, with_unsafe_plan
from numpy.testing import assert_array_equal

from nas.errors import InputError, ValidationError
from nas.export.c.emit import layer_names
from nas.export.c.program import Program, make_program
from nas.harness import firmware, qemu
from nas.harness.cores import CORES, Core, find_core
from nas.harness.emulator import EmulatedCore
from nas.harness.firmware import build_image, find_compiler
from nas.harness.qemu import QemuCore
from nas.harness.tflm import TflmModel

REFERENCE = Path(__file__).resolve().parents[2] / "exported/reference/kws-64kb/winner/model.tflite"
pytest.importorskip("unicorn", reason=f"needs the emulator: {firmware.INSTALL}")
pytest.importorskip("elftools", reason=f"needs the reader of images: {firmware.INSTALL}")
COMPILERS = [
    name
    for name, there in (("zig", importlib.util.find_spec("ziglang")), ("gcc", shutil.which("arm-none-eabi-gcc")))
    if there
]
TIMER_INSTRUCTIONS = 24  # of a board, to read its timer
needs_qemu = pytest.mark.skipif(shutil.which(qemu.COMMAND) is None, reason=f"needs QEMU: {qemu.INSTALL}")
needs_compiler = pytest.mark.skipif(not COMPILERS, reason=f"needs a compiler for Arm: {firmware.INSTALL}")


@pytest.mark.slow
@needs_compiler
@pytest.mark.sweep
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", [core for core in CORES.values() if core.unicorn], ids=lambda core: core.name)
def test_the_same_bits_as_tflm(core: Core, compiler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(firmware.COMPILER, compiler)
    for seed in (0, 6):
        model = random_network(seed, layers=10)
        tflm = TflmModel(model)
        inputs = np.random.default_rng(1).integers(-128, 128, (4, *tflm.input_shape[1:]), dtype=np.int8)
        program = make_program(model, "net")
        assert_array_equal(EmulatedCore(program, build_image(program, core)).run(inputs), tflm.run(inputs))


@pytest.mark.slow
@needs_compiler
def test_a_trained_network_and_what_it_costs() -> None:
    model = REFERENCE.read_bytes()
    tflm, program = TflmModel(model), make_program(model, "net")
    core = EmulatedCore(program, build_image(program, find_core("cortex-m4")))
    inputs = np.random.default_rng(1).integers(-128, 128, (3, *tflm.input_shape[1:]), dtype=np.int8)
    assert_array_equal(core.run(inputs), tflm.run(inputs))
    first, again = core.count(inputs[:1]), core.count(inputs[:1])
    assert first == again
    assert list(first.layers) == layer_names(program)
    assert 0 < first.instructions - sum(first.layers.values()) < 100  # of the function that calls the layers
    assert min(cost for name, cost in first.layers.items() if "copy" not in name) > 0
    assert 0 < first.stack_bytes < 1024


@pytest.mark.slow
@needs_compiler
@needs_qemu
@pytest.mark.sweep
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("core", CORES.values(), ids=lambda core: core.name)
def test_a_board_of_qemu_does_and_counts_the_same(core: Core, compiler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(firmware.COMPILER, compiler)
    for seed in (0, 6, 7):
        model = random_network(seed, layers=10)
        tflm, program = TflmModel(model), make_program(model, "net")
        inputs = np.random.default_rng(1).integers(-128, 128, (4, *tflm.input_shape[1:]), dtype=np.int8)
        outputs, instructions, stack_bytes = QemuCore(program, core).measure(inputs)
        assert_array_equal(outputs, tflm.run(inputs))
        assert 0 < stack_bytes < 2048
        if core.unicorn:
            other = EmulatedCore(program, build_image(program, core)).count(inputs[:1]).instructions
            assert 0 < instructions[0] - other < TIMER_INSTRUCTIONS


@pytest.mark.slow
@needs_compiler
@needs_qemu
@pytest.mark.parametrize("core", [find_core("cortex-m4"), find_core("cortex-m55")], ids=lambda core: core.name)
def test_layers_are_counted_on_a_board_too(core: Core) -> None:
    model = random_network(6, layers=10)
    program = make_program(model, "net")
    sample = np.random.default_rng(1).integers(-128, 128, (1, *TflmModel(model).input_shape[1:]), dtype=np.int8)
    cost = QemuCore(program, core).count(sample)
    assert list(cost.layers) == layer_names(program)
    assert 0 <= cost.instructions - sum(cost.layers.values()) < 100  # of the function that calls the layers
    if core.unicorn:
        other = EmulatedCore(program, build_image(program, core)).count(sample).layers
        assert all(abs(cost.layers[name] - other[name]) < 12 for name in other)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("core", [find_core("cortex-m4"), pytest.param(find_core("cortex-m55"), marks=needs_qemu)])
def test_an_unsafe_plan_computes_something_else(core: Core) -> None:
    """So the DSP and the vector kernels need the order of writing that plans rely on, and would show its loss."""
    model = REFERENCE.read_bytes()
    tflm, program = TflmModel(model), make_program(model, "net")
    inputs = np.random.default_rng(1).integers(-128, 128, (2, *tflm.input_shape[1:]), dtype=np.int8)

    def run(tried: Program) -> np.ndarray:
        return (EmulatedCore(tried, build_image(tried, core)) if core.unicorn else QemuCore(tried, core)).run(inputs)

    assert_array_equal(run(program), tflm.run(inputs))
    layers = [layer for layer in program.layers if layer.kernel == "depthwise"]
    assert any(not np.array_equal(run(with_unsafe_plan(program, layer)), tflm.run(inputs)) for layer in layers)


@needs_compiler
def test_an_image_of_weights_and_kernels() -> None:
    model = REFERENCE.read_bytes()
    program = make_program(model, "net")
    image = build_image(program, find_core("cortex-m4"))
    assert image.static_bytes == program.arena_bytes
    assert image.flash_bytes < len(model) + 12_000  # the kernels; TFLM's take several times as much


@needs_compiler
def test_a_core_that_stops_in_the_wrong_place_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it begins where no memory is."""
    program = make_program(random_network(0), "net")
    core = EmulatedCore(program, build_image(program, find_core("cortex-m4")))
    monkeypatch.setattr(core, "_run_at", 0x7000_0000)
    with pytest.raises(ValidationError, match="the emulated cortex-m4 stopped at 0x70000000: Invalid memory fetch"):
        core.run(np.zeros((1, *core.input_shape[1:]), np.int8))


@pytest.mark.parametrize(("program", "version"), [("print(' gcc 13.2 ')", "gcc 13.2"), ("pass", "of unknown version")])
def test_the_version_of_a_compiler_is_its_own_word(program: str, version: str) -> None:
    assert firmware._version([sys.executable, "-c", program]) == version


def test_missing_tools_are_named_with_the_way_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"no compiler for cortex-m4: pip install 'mcu-nas\[emulation\]'"):
        find_compiler(find_core("cortex-m4"))


@needs_compiler
def test_a_missing_reader_of_images_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "elftools" else find(name))
    with pytest.raises(InputError, match=r"no reader of images for cortex-m4: pip install 'mcu-nas\[emulation\]'"):
        build_image(make_program(random_network(0), "net"), find_core("cortex-m4"))


def test_missing_qemu_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"no qemu-system-arm for cortex-m55 \(Debian: apt install qemu-system-arm\)"):
        QemuCore(make_program(random_network(0), "net"), find_core("cortex-m55"))


def test_a_wrong_choice_of_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(firmware.COMPILER, "icc")
    with pytest.raises(InputError, match="NAS_COMPILER=icc: expected zig or gcc"):
        find_compiler(find_core("cortex-m4"))


def test_an_unknown_core() -> None:
    with pytest.raises(InputError, match="no core 'cortex-m99' can be emulated: expected cortex-m4"):
        find_core("cortex-m99")
