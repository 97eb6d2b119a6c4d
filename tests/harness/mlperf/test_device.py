"""The device under test answers every command of the protocol, right or wrong, and never falls over."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.harness.mlperf.device import LONGEST_COMMAND, MOST_INFERENCES, MOST_INPUT_BYTES, Device

FUZZED = 100_000  # commands


class Echo:
    """A network whose results are the sum of its input and how often it ran."""

    input_bytes = 20

    def __init__(self) -> None:
        self.data, self.runs = bytes(20), 0

    def load(self, data: bytes) -> None:
        assert len(data) == self.input_bytes
        self.data = data

    def infer(self) -> None:
        self.runs += 1

    def results(self) -> list[float]:
        return [float(sum(self.data)), self.runs / 3]


@pytest.fixture
def device() -> Device:
    ticks: Iterator[int] = count(1000, 50)
    return Device("kws01", Echo(), lambda: next(ticks))


def told(device: Device, *commands: str) -> list[str]:
    """Lines of all answers, each of which must end as the protocol wants."""
    lines = []
    for command in commands:
        answer = device.receive(command.encode() + b"%").decode()
        assert answer.endswith("m-ready\r\n")
        assert answer.count("m-ready") == 1
        lines += answer.split("\r\n")[:-2]
    return lines


def test_boot(device: Device) -> None:
    assert device.boot() == b"m-timestamp-mode-performance\r\nm-lap-us-1000\r\nm-init-done\r\nm-ready\r\n"


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("name", ["m-name-dut-[nas]"]),
        ("timestamp", ["m-lap-us-1000"]),
        ("profile", ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[kws01]"]),
        ("db load 490", ["m-[Expecting 490 bytes]"]),
        ("db load 1", ["m-[Expecting 1 bytes]"]),
        ("db   load   490  ", ["m-[Expecting 490 bytes]"]),
        ("\r\n name\r\n", ["m-name-dut-[nas]"]),
        ("db 00ff", []),
        ("", ["e-[Empty command]"]),
        (" \r\n", ["e-[Empty command]"]),
        ("reboot now", ["e-[Unknown command: reboot]"]),
        ("db", ["e-[Command 'db' requires a subcommand]"]),
        ("db load", ["e-[Command 'db load' requires the # of bytes]"]),
        ("db load 0", ["e-[Command 'db load' must be >0 bytes]"]),
        ("db load many", ["e-[Command 'db load' must be >0 bytes]"]),
        ("db load -7", ["e-[Command 'db load' must be >0 bytes]"]),
        (f"db load {MOST_INPUT_BYTES + 1}", ["Supplied buffer size 27649 exceeds maximum of 27648"]),
        ("db abc", ["e-[Insufficent number of hex digits]"]),
        ("db zz00", ["e-[Invalid hex digit 'zz']"]),
        ("infer 0", ["e-[Inference iterations must be >0]"]),
        ("infer x", ["e-[Inference iterations must be >0]"]),
        ("infer 1 -1", ["e-[Inference warmup must be >=0]"]),
        (f"infer {MOST_INFERENCES + 1} 0", ["e-[Inference iterations and warmups must be <=1000000]"]),
    ],
)
def test_one_command(device: Device, command: str, lines: list[str]) -> None:
    assert told(device, command) == lines


def test_help_begins_with_the_version(device: Device) -> None:
    assert told(device, "help")[0] == "ULPMark for tinyML Firmware V0.0.1"


def test_an_input_in_pieces_and_an_inference(device: Device) -> None:
    assert told(device, "db load 20", "db " + "01" * 12, "db " + "0A" * 8) == [
        "m-[Expecting 20 bytes]",
        "m-load-done",
    ]
    assert told(device, "db ffff") == []  # more than was announced is left aside
    assert told(device, "db print") == [
        "m-buffer-01-01-01-01-01-01-01-01",
        "m-buffer-01-01-01-01-0a-0a-0a-0a",
        "m-buffer-0a-0a-0a-0a",
        "",
    ]
    assert told(device, "infer 2 3") == [
        *("m-warmup-start-3", "m-warmup-done", "m-infer-start-2", "m-lap-us-1000", "m-lap-us-1050", "m-infer-done"),
        "m-results-[92.000,1.667]",
    ]
    assert told(device, "results") == ["m-results-[92.000,1.667]"]


def test_as_many_inferences_as_are_allowed(device: Device) -> None:
    assert f"m-infer-start-{MOST_INFERENCES}" in told(device, f"infer {MOST_INFERENCES} 0")
    assert f"m-warmup-start-{MOST_INFERENCES}" in told(device, f"infer 1 {MOST_INFERENCES}")


@pytest.mark.parametrize(("size", "taken"), [(MOST_INPUT_BYTES, True), (MOST_INPUT_BYTES + 1, False)])
def test_the_largest_input_is_that_of_person_detection(device: Device, size: int, taken: bool) -> None:
    """96 x 96 pixels of three colours."""
    assert MOST_INPUT_BYTES == 96 * 96 * 3
    assert (told(device, f"db load {size}") == [f"m-[Expecting {size} bytes]"]) == taken


def test_warmups_are_ten_by_default(device: Device) -> None:
    assert "m-warmup-start-10" in told(device, "infer 1")
    assert told(device, "results") == ["m-results-[0.000,3.667]"]


def test_a_short_input_is_told_and_the_rest_of_the_last_one_stays(device: Device) -> None:
    told(device, "db load 20", "db " + "02" * 20, "infer 1 0", "db load 3", "db 010101")
    lines = told(device, "infer 1 0")
    assert lines[0] == "Input db has 3 elemented, expected 20"
    assert lines[-1] == "m-results-[37.000,0.667]"


def test_a_print_of_whole_rows_ends_without_an_empty_line(device: Device) -> None:
    told(device, "db load 16", "db " + "01" * 16)
    assert told(device, "db print") == ["m-buffer-01-01-01-01-01-01-01-01"] * 2


@pytest.mark.parametrize("pieces", [1, 2, 3, 10])
def test_a_command_that_is_too_long_may_come_in_pieces(device: Device, pieces: int) -> None:
    text = b"x" * (LONGEST_COMMAND + 40) + b"y"
    size = -(-len(text) // pieces)
    for start in range(0, len(text), size):
        assert device.receive(text[start : start + size]) == b""
    told_here = device.receive(b"%").decode().split("\r\n")
    assert told_here[0] == f"e-[Unknown command: {'x' * (LONGEST_COMMAND - 1)}y]"


def test_of_a_command_that_is_too_long_the_last_place_is_overwritten(device: Device) -> None:
    lines = told(device, "x" * (LONGEST_COMMAND + 40) + "y")
    assert lines == [f"e-[Unknown command: {'x' * (LONGEST_COMMAND - 1)}y]"]
    assert told(device, "name") == ["m-name-dut-[nas]"]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_how_bytes_are_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    whole = Device("kws01", Echo(), lambda: 0).receive(data)
    device, places = Device("kws01", Echo(), lambda: 0), [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert b"".join(device.receive(data[a:b]) for a, b in pairwise(places)) == whole
    assert whole.count(b"m-ready\r\n") == data.count(b"%")


def test_nothing_that_is_sent_stops_it(device: Device) -> None:
    """Commands with words of the protocol, numbers and noise in them, and bare noise."""
    rng = random.Random(0)
    words = ["db", "load", "print", "infer", "results", "name", "profile", "help", "timestamp", "db load", "-1", "0"]
    for _ in range(FUZZED):
        kind = rng.random()
        if kind < 0.7:
            some = [
                rng.choice([*words, str(rng.randrange(40)), rng.randbytes(4).hex()]) for _ in range(rng.randrange(5))
            ]
            sent = " ".join(some).encode()
        else:
            sent = rng.randbytes(rng.randrange(120)).replace(b"%", b"")
        answer = device.receive(sent + b"%")
        assert answer.endswith(b"m-ready\r\n")
    assert told(device, "name") == ["m-name-dut-[nas]"]
