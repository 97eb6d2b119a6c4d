"""How much of a training goes into its inputs: gathering, dequantising and augmenting them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

from nas.training.runtime import Runtime

EVERY = 32  # steps of which one is timed on a GPU: enough for a share, few enough not to slow the training

Batch = TypeVar("Batch")


class InputClock:
    """Times how long the batches of one epoch take to be made.

    On a CPU each of them. A GPU works behind the program's back: to time a batch there is to wait for the device before
    and after it, so only one in ``EVERY`` is.
    """

    def __init__(self, runtime: Runtime, steps: int) -> None:
        self.runtime, self.steps = runtime, steps
        every = EVERY if runtime.device.type == "cuda" else 1
        # Not the first of several: what a device does once would count for all.
        self._timed = range(min(every, steps) // 2, steps, every)
        self._spent = 0.0

    def watch(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches."""
        for step in range(self.steps):
            if step not in self._timed:
                yield next(batches)
                continue
            self.runtime.wait()
            started = time.monotonic()
            batch = next(batches)
            self.runtime.wait()
            self._spent += time.monotonic() - started
            yield batch

    @property
    def seconds(self) -> float:
        """Of all batches; on a GPU as many times those of the timed ones."""
        return self._spent * self.steps / len(self._timed)
