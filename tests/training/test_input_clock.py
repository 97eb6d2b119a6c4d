"""What the clock of the inputs tells, with a clock and devices of our own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from nas.training import input_clock
from nas.training.input_clock import EVERY, InputClock
from nas.training.runtime import Runtime

BATCH, STEP = 2.0, 5.0  # seconds that a batch takes, and what the network does with it


@dataclass
class World:
    """A device that counts how often it is waited for, and the time there."""

    device: torch.device
    now: float = 0.0
    waits: int = 0

    def wait(self) -> None:
        self.waits += 1

    def batches(self, steps: int) -> Iterator[int]:
        for step in range(steps):
            self.now += BATCH
            yield step


def watched(kind: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> tuple[InputClock, World]:
    world = World(torch.device(kind))
    monkeypatch.setattr(input_clock, "time", SimpleNamespace(monotonic=lambda: world.now))
    clock, seen = InputClock(cast(Runtime, world), steps), []
    for batch in clock.watch(world.batches(steps)):
        seen.append(batch)
        world.now += STEP
    assert seen == list(range(steps))
    return clock, world


@pytest.mark.parametrize("steps", [1, 3, EVERY, 2 * EVERY + 1])
def test_every_batch_is_timed_on_a_cpu(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, world = watched("cpu", steps, monkeypatch)
    assert world.waits == 2 * steps
    assert clock.seconds == BATCH * steps


@pytest.mark.parametrize(("steps", "timed"), [(1, 1), (2, 1), (EVERY, 1), (2 * EVERY, 2), (10 * EVERY + 1, 10)])
def test_a_gpu_is_waited_for_in_few_steps_that_stand_for_all(
    steps: int, timed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, world = watched("cuda", steps, monkeypatch)
    assert world.waits == 2 * timed
    assert clock.seconds == BATCH * steps
