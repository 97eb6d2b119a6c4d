"""The protocol in C says what the device in Python says, on this machine and on boards of QEMU."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError
from nas.export.c.program import make_program
from nas.export.onnx_export import export_onnx
from nas.export.tflite import convert_int8
from nas.harness import firmware, qemu
from nas.harness.cores import CORES, Core
from nas.harness.mlperf.device import Device
from nas.harness.mlperf.firmware_link import FirmwareLink
from nas.harness.mlperf.runner import DirectLink, Runner
from nas.harness.tflm import TflmModel
from nas.models.network import build_network
from nas.pipeline.dut import Time, WireNetwork, _float_wire, _floats_in_order, board_link, export_firmware, make_device
from nas.pipeline.tested import open_tested
from nas.space.lookup import find_architecture

COMPILER = shutil.which("cc")
COMMANDS = 400
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1")
WORDS = ("db", "load", "print", "infer", "results", "name", "profile", "timestamp", "db load", "-1", "0", "00ff", "zz")


@pytest.fixture
def network(checkout: Path) -> Path:
    return checkout / "exported" / "reference" / "kws-64kb" / "winner" / "model.tflite"


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The benchmark's for anomalies, its weights from a seed: it takes float32."""
    architecture, folder = find_architecture("ad_autoencoder:mlperf-fc-autoencoder"), tmp_path_factory.mktemp("ad")
    export_onnx(build_network(architecture.graph, seed=0).eval(), architecture.input_shape, folder / "model.onnx")
    samples = np.random.default_rng(0).normal(0, 20, (32, *architecture.input_shape)).astype(np.float32)
    convert_int8(folder / "model.onnx", samples, folder / "model.tflite")
    return folder / "model.tflite"


def without_times(said: bytes) -> bytes:
    return re.sub(rb"m-lap-us-\d+", b"m-lap-us", said)


def built(network: Path, task: str, folder: Path, *flags: str) -> Path:
    """The device as a program of this machine."""
    export_firmware(network, folder / task, task)
    binary, sources = folder / "device", map(str, (folder / task).glob("*.c"))
    subprocess.run([str(COMPILER), *STRICT, *flags, *sources, "-o", str(binary)], check=True)
    return binary


def loaded(sample: bytes) -> list[bytes]:
    """The commands that send an input."""
    chunks = [sample[start : start + 31] for start in range(0, len(sample), 31)]
    return [b"db load %d" % len(sample), *(b"db " + chunk.hex().encode() for chunk in chunks)]


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt install gcc")
def test_the_same_words_on_this_machine(network: Path, tmp_path: Path) -> None:
    """To a whole input and an inference, and to commands of words of the protocol and noise in any order."""
    rng = random.Random(0)
    sample = np.random.default_rng(0).integers(-128, 128, 490, dtype=np.int8).tobytes()
    sent = [b"name", b"", *loaded(sample), b"db print", b"infer 2 1", b"results", b"db load 3", b"db 010203"]
    sent += [b"infer 1 0", b"x" * 130 + b"y"]
    for _ in range(COMMANDS):
        some = " ".join(rng.choice([*WORDS, str(rng.randrange(3))]) for _ in range(rng.randrange(4))).encode()
        noise = bytes(rng.choice(b"dbinfer 0\t\r\n~") for _ in range(rng.randrange(100)))
        sent.append(some if rng.random() < 0.7 else noise)
    stream = b"".join(command + b"%" for command in sent)
    said = subprocess.run([str(built(network, "kws", tmp_path))], input=stream, capture_output=True, check=True).stdout
    device = make_device(network, "kws", "host", Time.REAL)
    assert without_times(said) == without_times(device.boot() + device.receive(stream))


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt install gcc")
def test_inputs_of_real_values(autoencoder: Path, tmp_path: Path) -> None:
    """Errors are the same to the last of three digits, or differ by one where float32 rounds otherwise."""
    rng = np.random.default_rng(1)
    samples = [rng.normal(0, scale, 640).astype("<f4") for scale in (0, 0.01, 1, 20, 20, 60, 400)]
    samples.append(np.tile(np.array([1e-40, -0.0, 2000, 1e-7, -1e-3], "<f4"), 128))
    sent = [command for sample in samples for command in (*loaded(sample.tobytes()), b"infer 1 0", b"results")]
    stream = b"".join(command + b"%" for command in sent)
    said = subprocess.run(
        [str(built(autoencoder, "ad", tmp_path))], input=stream, capture_output=True, check=True
    ).stdout
    device = make_device(autoencoder, "ad", "host", Time.REAL)
    expected = device.boot() + device.receive(stream)
    told, wanted = (
        [float(value) for value in re.findall(rb"m-results-\[([0-9.]+)\]", each)] for each in (said, expected)
    )
    assert len(wanted) == 2 * len(samples)
    assert told == pytest.approx(wanted, rel=1e-6, abs=0.0011)
    assert np.mean(np.array(told[:12]) == wanted[:12]) > 0.8
    assert re.sub(rb"\[[0-9.]+\]", b"", without_times(said)) == re.sub(rb"\[[0-9.]+\]", b"", without_times(expected))


@pytest.mark.slow
def test_the_steps_of_a_grid_are_found_to_the_last_bit(autoencoder: Path) -> None:
    tested = open_tested(autoencoder, "ad", None)
    thresholds = np.array(_float_wire(tested).thresholds)
    at, below = (tested.convert(_floats_in_order(order)) for order in (thresholds, thresholds - 1))
    assert at.tolist() == list(range(-127, 128))
    assert below.tolist() == list(range(-128, 127))


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt install gcc")
def test_energy_mode_pulses_a_pin_and_tells_no_time(network: Path, tmp_path: Path) -> None:
    stream = b"".join(command + b"%" for command in [*loaded(bytes(490)), b"infer 2 1", b"timestamp", b"name"])
    done = subprocess.run(
        [str(built(network, "kws", tmp_path, "-DNAS_ENERGY"))], input=stream, capture_output=True, check=True
    )
    pulses: list[None] = []
    wired = WireNetwork(open_tested(network, "kws", None), TflmModel(network.read_bytes()).run, lambda: None)
    device = Device("kws01", wired, lambda: pulses.append(None))
    assert done.stdout == device.boot() + device.receive(stream)
    assert done.stdout.startswith(b"m-timestamp-mode-energy\r\nm-init-done\r\n")
    assert done.stderr.count(b"pulse\n") == len(pulses) == 4  # switched on, around inferences, asked for


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(qemu.COMMAND) is None, reason=f"needs QEMU: {qemu.INSTALL}")
@pytest.mark.sweep
@pytest.mark.parametrize("core", CORES.values(), ids=lambda core: core.name)
@pytest.mark.parametrize("task", ["kws", "ad"])
def test_a_board_that_speaks_the_protocol_itself(task: str, core: Core, request: pytest.FixtureRequest) -> None:
    rng, network = np.random.default_rng(1), request.getfixturevalue("network" if task == "kws" else "autoencoder")
    try:
        link = board_link(network, task, core.name)
    except InputError as missing:
        pytest.skip(f"{missing}: {firmware.INSTALL}")
    runner, here = Runner(link), Runner(DirectLink(make_device(network, task, "host", Time.REAL)))
    sample = rng.integers(-128, 128, 490, dtype=np.int8) if task == "kws" else rng.normal(0, 20, 640).astype("<f4")
    for one in (runner, here):
        assert one.identify() == f"{task}01"
        one.load(sample.tobytes())
    answer = runner.infer(2, 1)
    link.close()
    assert answer.results == pytest.approx(here.infer(2, 1).results, abs=0 if task == "kws" else 0.0011)
    assert (answer.microseconds > 0) == (core.name != "cortex-m55")  # whose time nobody knows


def test_a_board_needs_qemu(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"no qemu-system-arm for cortex-m4 \(Debian: apt install qemu-system-arm\)"):
        FirmwareLink(make_program(network.read_bytes(), "net"), CORES["cortex-m4"], {}, 1.0)


def test_what_has_no_protocol_in_c(network: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tells 12 classes apart, the task vww has 2"):
        export_firmware(network, tmp_path / "out", "vww")
    with pytest.raises(InputError, match="unknown task 'hotword'"):
        export_firmware(network, tmp_path / "out", "hotword")
    assert not (tmp_path / "out").exists()
