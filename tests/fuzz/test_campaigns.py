"""A short campaign of every parser, and what a campaign finds."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.errors import InputError

HOG_BYTES = 80_000_000
INPUTS = {
    **dict.fromkeys(("units", "device", "runner", "meter", "cifar", "studies"), 200),
    **dict.fromkeys(
        ("constraints", "networks", "recipes", "spaces", "wavs", "images", "evaluation", "weights", "onnx"), 60
    ),
    **dict.fromkeys(("runs", "tflite", "c", "submissions", "pages"), 30),
    **dict.fromkeys(("plans", "speech-folders", "sound-folders", "image-folders", "machine-folders"), 10),
}


@pytest.fixture
def attempts() -> Callable[[str, int], list[tuple[str, int]]]:
    """Failures of the first inputs of a campaign, in this process."""

    def attempt(name: str, inputs: int) -> list[tuple[str, int]]:
        from fuzzing import campaign
        from fuzzing.parsers import PARSERS

        parser = PARSERS[name]()
        ended = [
            (campaign.attempt(parser, campaign.make_input(parser, name, 1, number)), number) for number in range(inputs)
        ]
        return [(what[0], number) for what, number in ended if what not in (campaign.ACCEPTED, campaign.REFUSED)]

    return attempt


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUTS)
def test_a_short_campaign(attempts: Callable[[str, int], list[tuple[str, int]]], name: str) -> None:
    assert attempts(name, INPUTS[name]) == []


def test_every_parser_has_a_campaign() -> None:
    from fuzzing.parsers import PARSERS

    assert {*PARSERS} == {*INPUTS}


def test_the_same_seed_gives_the_same_inputs() -> None:
    from fuzzing import campaign
    from fuzzing.parsers import PARSERS

    parser = PARSERS["cifar"]()
    assert all(
        campaign.make_input(parser, "cifar", 7, n) == campaign.make_input(parser, "cifar", 7, n) for n in range(20)
    )


@pytest.mark.slow
def test_a_campaign_survives_and_tells_what_ends_a_process() -> None:
    """A crash, a memory hog and a bug are found, each with the number of its input."""
    from fuzzing import campaign
    from fuzzing.parser import Parser

    def read(folder: Path) -> None:
        match int((folder / "number").read_text()):
            case 0:
                os.kill(os.getpid(), signal.SIGKILL)
            case 1:
                mmap.mmap(-1, HOG_BYTES).write(bytes(HOG_BYTES))  # a heap could have so much to spare
            case 2:
                raise ZeroDivisionError
            case 3:
                raise InputError("no")

    parser = Parser(
        [{"number": b"9"}], lambda rng, seeds: {"number": str(rng.randrange(5)).encode()}, read, fixed_bytes=1 << 24
    )
    found = campaign.run(parser, "made", 0, 40)
    assert found.inputs == 40
    assert {failure.split(" at ")[0] for failure in found.failures} == {"SIGKILL", "memory", "ZeroDivisionError"}
    assert found.accepted + found.refused + sum(one.times for one in found.failures.values()) == 40
