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
from nas.harness import firmware, qemu
from nas.harness.cores import CORES, Core
from nas.harness.mlperf.runner import DirectLink, Runner
from nas.pipeline.dut import Time, board_link, export_firmware, make_device

COMPILER = shutil.which("cc")
COMMANDS = 400
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-O1")
WORDS = ("db", "load", "print", "infer", "results", "name", "profile", "timestamp", "db load", "-1", "0", "00ff", "zz")


@pytest.fixture
def network(checkout: Path) -> Path:
    return checkout / "exported" / "reference" / "kws-64kb" / "winner" / "model.tflite"


def without_times(said: bytes) -> bytes:
    return re.sub(rb"m-lap-us-\d+", b"m-lap-us", said)


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt install gcc")
def test_the_same_words_on_this_machine(network: Path, tmp_path: Path) -> None:
    """To a whole input and an inference, and to commands of words of the protocol and noise in any order."""
    rng = random.Random(0)
    sample = np.random.default_rng(0).integers(-128, 128, 490, dtype=np.int8).tobytes()
    sent = [b"name", b"", b"db load 490", *(b"db " + sample[i : i + 31].hex().encode() for i in range(0, 490, 31))]
    sent += [b"db print", b"infer 2 1", b"results", b"db load 3", b"db 010203", b"infer 1 0", b"x" * 130 + b"y"]
    for _ in range(COMMANDS):
        some = " ".join(rng.choice([*WORDS, str(rng.randrange(3))]) for _ in range(rng.randrange(4))).encode()
        noise = bytes(rng.choice(b"dbinfer 0\t\r\n~") for _ in range(rng.randrange(100)))
        sent.append(some if rng.random() < 0.7 else noise)
    stream = b"".join(command + b"%" for command in sent)
    program = export_firmware(network, tmp_path / "kws", "kws")
    binary = tmp_path / "device"
    sources = map(str, (tmp_path / "kws").glob("*.c"))
    subprocess.run([str(COMPILER), *STRICT, *sources, "-o", str(binary)], check=True)
    said = subprocess.run([str(binary)], input=stream, capture_output=True, check=True).stdout
    device = make_device(network, "kws", "host", Time.REAL)
    assert program.name == "kws"
    assert without_times(said) == without_times(device.boot() + device.receive(stream))


@pytest.mark.skipif(shutil.which(qemu.COMMAND) is None, reason=f"needs QEMU: {qemu.INSTALL}")
@pytest.mark.parametrize("core", CORES.values(), ids=lambda core: core.name)
def test_a_board_that_speaks_the_protocol_itself(core: Core, network: Path) -> None:
    try:
        link = board_link(network, "kws", core.name)
    except InputError as missing:
        pytest.skip(f"{missing}: {firmware.INSTALL}")
    runner, here = Runner(link), Runner(DirectLink(make_device(network, "kws", "host", Time.REAL)))
    for one in (runner, here):
        assert one.identify() == "kws01"
        one.load(np.random.default_rng(1).integers(-128, 128, 490, dtype=np.int8).tobytes())
    answer = runner.infer(2, 1)
    link.close()
    assert answer.results == here.infer(2, 1).results
    assert (answer.microseconds > 0) == (core.name != "cortex-m55")  # whose time nobody knows


def test_what_has_no_protocol_in_c(network: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tells 12 classes apart, the task vww has 2"):
        export_firmware(network, tmp_path / "out", "vww")
    with pytest.raises(InputError, match="unknown task 'hotword'"):
        export_firmware(network, tmp_path / "out", "hotword")
    assert not (tmp_path / "out").exists()
