"""The C code of a network computes the bits of TensorFlow Lite Micro on this machine."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from made_networks import dense_network, random_network, with_unsafe_plan
from numpy.testing import assert_array_equal

from nas.errors import InputError
from nas.export.c.emit import write_c
from nas.export.c.program import Program, make_program
from nas.harness.tflm import TflmModel

COMPILER = shutil.which("cc")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1")
REFERENCE = sorted(Path(__file__).resolve().parents[2].glob("exported/reference/*/winner/model.tflite"))
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt install gcc")


def run_here(program: Program, inputs: np.ndarray, folder: Path) -> np.ndarray:
    """Compile a program for this machine, without a single warning, and run it."""
    write_c(program, folder)
    sources = [str(path) for path in folder.glob("*.c") if path.name != "main.c"]
    library = folder / "network.so"
    subprocess.run([str(COMPILER), *STRICT, "-shared", "-fPIC", *sources, "-o", str(library)], check=True)
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


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(24))
def test_random_layers(seed: int, tmp_path: Path) -> None:
    model = random_network(seed)
    inputs = noise(model, 4)
    assert_array_equal(run_here(make_program(model, "net"), inputs, tmp_path), TflmModel(model).run(inputs))


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
