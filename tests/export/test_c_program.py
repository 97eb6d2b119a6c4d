"""The C code of a network computes the bits of TensorFlow Lite Micro on this machine."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from made_networks import (
    dense_network,
    padded_between_grids,
    random_network,
    softmax_network,
    sum_with_constant,
    with_other_grids,
    with_unsafe_plan,
)
from numpy.testing import assert_array_equal

from nas.errors import InputError, ValidationError
from nas.export.c.emit import KERNELS, write_c
from nas.export.c.program import Program, make_program
from nas.export.flatbuffer import load
from nas.harness.tflm import TflmModel

COMPILER = shutil.which("cc")
ZIG = (sys.executable, "-P", "-m", "ziglang")
C99, CPP17 = ("-std=c99",), ("-x", "c++", "-std=c++17")
STRICT = (*C99, "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1")
REFERENCE = sorted(Path(__file__).resolve().parents[2].glob("exported/reference/*/winner/model.tflite"))
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt install gcc")


def run_here(program: Program, inputs: np.ndarray, folder: Path, *flags: str) -> np.ndarray:
    """Compile a program for this machine, without a single warning, and run it."""
    write_c(program, folder)
    sources = [str(path) for path in folder.glob("*.c") if path.name != "main.c"]
    library = folder / "network.so"
    subprocess.run([str(COMPILER), *STRICT, *flags, "-shared", "-fPIC", *sources, "-o", str(library)], check=True)
    code = ctypes.CDLL(str(library))
    names = {name: getattr(code, f"{program.name}_{name}") for name in ("input", "run", "output")}
    names["input"].restype = names["output"].restype = ctypes.c_void_p
    outputs = []
    for sample in inputs:
        ctypes.memmove(names["input"](), sample.tobytes(), sample.size)
        names["run"]()
        outputs.append(ctypes.string_at(names["output"](), program.bytes_of(program.output)))
    return np.frombuffer(b"".join(outputs), np.int8).reshape(len(inputs), -1)


def noise(model: bytes, count: int) -> np.ndarray:
    shape = TflmModel(model).input_shape[1:]
    return np.random.default_rng(1).integers(-128, 128, (count, *shape), dtype=np.int8)


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(24))
def test_random_layers(seed: int, tmp_path: Path) -> None:
    model = random_network(seed)
    inputs = noise(model, 4)
    assert_array_equal(run_here(make_program(model, "net"), inputs, tmp_path), TflmModel(model).run(inputs))


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(36))
def test_grids_that_no_converter_makes(seed: int, tmp_path: Path) -> None:
    """Refused, by name or by TFLM, or the same bits."""
    model = with_other_grids(random_network(seed), seed)
    with suppress(InputError, ValidationError):
        program, tflm = make_program(model, "net"), TflmModel(model)
        inputs = noise(model, 4)
        assert_array_equal(run_here(program, inputs, tmp_path), tflm.run(inputs))


def test_weights_with_a_zero_point_are_refused() -> None:
    model = load(dense_network(0, 5, 3))
    weights = model.subgraphs[0].tensors[1]
    weights.quantization.zeroPoint = np.full(len(weights.quantization.zeroPoint), 3, np.int64)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(InputError, match="FULLY_CONNECTED with weights of zero point 3"):
        make_program(bytes(builder.Output()), "net")


def test_padding_between_grids(tmp_path: Path) -> None:
    model = padded_between_grids()
    inputs = noise(model, 4)
    assert_array_equal(run_here(make_program(model, "net"), inputs, tmp_path), TflmModel(model).run(inputs))


def test_a_sum_with_a_constant_is_refused() -> None:
    with pytest.raises(InputError, match="ADD of a constant: the C back end has that of activations only"):
        make_program(sum_with_constant(), "net")


@pytest.mark.parametrize("classes", [511, 512, 600, 4095])
def test_softmax_of_many_equal_classes(classes: int, tmp_path: Path) -> None:
    """From 512 on the sum of exponentials shifts everything out; TFLM itself ends there."""
    program = make_program(softmax_network(classes), "net")
    inputs = np.zeros((1, classes), np.int8)
    found = run_here(program, inputs, tmp_path, "-fsanitize=undefined", "-fno-sanitize-recover=all")
    assert set(found.flatten().tolist()) == {-128 + round(256 / classes)}


def test_a_softmax_that_its_sum_cannot_hold_is_refused() -> None:
    with pytest.raises(InputError, match="a size of 4,096 is beyond the 4,095"):
        make_program(softmax_network(4096), "net")


@pytest.fixture(scope="module")
def all_kernels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Sources of programs that call every kernel between them."""
    kernels, sources = set[str](), list[Path]()
    for seed in range(40):
        program = make_program(random_network(seed), "net")
        if new := {layer.kernel for layer in program.layers} - kernels:
            kernels |= new
            folder = tmp_path_factory.mktemp("code")
            write_c(program, folder)
            sources += sorted(folder.glob("*.c"))
    assert kernels == set(KERNELS)
    return sources


@pytest.mark.parametrize(
    "compiler",
    [("gcc", *C99), ("g++", *CPP17), (*ZIG, "cc", *C99), (*ZIG, "c++", *CPP17)],
    ids=["gcc", "g++", "zig cc", "zig c++"],
)
@pytest.mark.slow
@pytest.mark.sweep
def test_it_is_c99_and_cpp17_without_a_warning(compiler: tuple[str, ...], all_kernels: list[Path]) -> None:
    require(compiler)
    for source in all_kernels:
        command = [*compiler, *STRICT[1:], "-c", str(source), "-o", str(source.with_suffix(".o"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "compiler",
    [("gcc",), ("arm-none-eabi-gcc", "-mcpu=cortex-m4"), ("arm-none-eabi-gcc", "-mcpu=cortex-m0"), (*ZIG, "cc")],
    ids=["gcc", "cortex-m4", "cortex-m0", "zig"],
)
@pytest.mark.parametrize("level", ["-Os", "-O2", "-O3"])
@pytest.mark.slow
@pytest.mark.sweep
def test_it_needs_no_library(compiler: tuple[str, ...], level: str, all_kernels: list[Path]) -> None:
    """Nor memcpy or memset, which compilers make of loops; what begins with __ belongs to the compiler itself."""
    require(compiler)
    for source in all_kernels:
        if source.name == "main.c":  # the example, which reads its input with stdio
            continue
        compiled = source.with_suffix(".o")
        subprocess.run([*compiler, "-std=c99", level, "-c", str(source), "-o", str(compiled)], check=True)
        listed = subprocess.run(["nm", "-u", str(compiled)], capture_output=True, text=True, check=True).stdout
        missing = {line.split()[-1] for line in listed.splitlines() if line.strip()}
        assert not {name for name in missing if not name.startswith(("nas_", "__"))}, (source.name, missing)


def require(compiler: tuple[str, ...]) -> None:
    """Skip where a compiler is not there."""
    if compiler[0] == sys.executable:
        pytest.importorskip("ziglang")
    elif shutil.which(compiler[0]) is None:
        pytest.skip(f"needs {compiler[0]}")


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (7, 3), (8, 9), (33, 4)])
def test_dense_layers(inputs: int, outputs: int, tmp_path: Path) -> None:
    model = dense_network(inputs, inputs, outputs)
    samples = noise(model, 10)
    assert_array_equal(run_here(make_program(model, "net"), samples, tmp_path), TflmModel(model).run(samples))


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.parents[1].name)
def test_the_trained_networks(path: Path, tmp_path: Path) -> None:
    model = path.read_bytes()
    inputs = noise(model, 8)
    assert_array_equal(run_here(make_program(model, "net"), inputs, tmp_path), TflmModel(model).run(inputs))


@pytest.mark.slow
def test_the_networks_of_the_benchmark(reference_models: dict[str, bytes], tmp_path: Path) -> None:
    for name, model in reference_models.items():
        inputs = noise(model, 2)
        found = run_here(make_program(model, "net"), inputs, tmp_path / name)
        assert_array_equal(found, TflmModel(model).run(inputs), err_msg=name)


@pytest.mark.slow
def test_the_plan_is_as_tight_as_the_kernels_allow(tmp_path: Path) -> None:
    """With the output of its largest overlap 16 bytes nearer to the input, the network computes something else."""
    model = REFERENCE[0].read_bytes()
    program = make_program(model, "net")
    inputs, wrong = noise(model, 4), 0
    expected = TflmModel(model).run(inputs)
    for number, layer in enumerate(program.layers):
        if layer.kernel == "depthwise":
            planted = with_unsafe_plan(program, layer)
            wrong += not np.array_equal(run_here(planted, inputs, tmp_path / str(number)), expected)
    assert wrong


def test_a_main_program_comes_with_it(tmp_path: Path) -> None:
    model = dense_network(0, 5, 3)
    write_c(make_program(model, "net"), tmp_path)
    program = tmp_path / "net"
    subprocess.run([str(COMPILER), *STRICT, *map(str, tmp_path.glob("*.c")), "-o", str(program)], check=True)
    sample = noise(model, 1)
    done = subprocess.run([str(program)], input=sample.tobytes(), capture_output=True, check=True)
    assert_array_equal([int(line) for line in done.stdout.split()], TflmModel(model).run(sample)[0])
    assert subprocess.run([str(program)], input=b"", capture_output=True).returncode == 1


def test_operators_without_a_kernel_are_named(checkout: Path) -> None:
    model = (checkout / "tests" / "data" / "models" / "svdf.tflite").read_bytes()
    with pytest.raises(InputError, match="no kernel for SVDF; it has CONV_2D"):
        make_program(model, "net")
