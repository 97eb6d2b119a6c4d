"""How the time of a run is shared out between search, final training and export."""

from __future__ import annotations

import time
from dataclasses import dataclass

BUILTIN_SECONDS = 300.0  # a longer search on synthetic data finds nothing that is worth more
DEFAULT_SECONDS = 3600.0
EXPORT_SECONDS = 60.0  # kept for export, TFLM and accuracy: 15 to 30 s measured on 2 cores, more when they are busy
FINALS_SHARE = 0.2  # of the time at most for the trainings of the finalists
TRAINING_SHARE = 0.55  # of the time at most for the winner's full training: gradient search takes half as long
# A network may be searched for if the time allows at least this share of the epochs asked for. Insisting on all of
# them would leave only the smallest networks on large data sets, where fewer epochs do.
LEAST_EPOCHS_SHARE = 1 / 2


def time_limit(seconds: float | None, trials: int | None, *, synthetic: bool) -> float | None:
    """As asked; else none when trials are counted, or the default for the kind of data."""
    if seconds is not None or trials is not None:
        return seconds
    return BUILTIN_SECONDS if synthetic else DEFAULT_SECONDS


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of one run. ``None`` seconds: as long as the trials take."""

    seconds: float | None
    started: float  # on the monotonic clock, earlier by what a resumed run had already used

    def elapsed(self) -> float:
        """Seconds used so far, also by the process that this one resumes."""
        return time.monotonic() - self.started

    def left(self) -> float | None:
        """Seconds that the whole run still has."""
        return None if self.seconds is None else self.seconds - self.elapsed()

    def training_seconds(self) -> float | None:
        """Most seconds that the full training of winners may take."""
        return None if self.seconds is None else (self.seconds - EXPORT_SECONDS) * TRAINING_SHARE

    def finals_seconds(self) -> float | None:
        """Most seconds that the trainings of finalists may take."""
        return None if self.seconds is None else (self.seconds - EXPORT_SECONDS) * FINALS_SHARE

    def search_seconds(self, training_seconds: float, finals_seconds: float) -> float | None:
        """Seconds until finals and full training of these lengths must start; the latter not longer than its share."""
        left, most = self.left(), self.training_seconds()
        if left is None or most is None:
            return None
        return left - finals_seconds - min(training_seconds, most) - EXPORT_SECONDS
