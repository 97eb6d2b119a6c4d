"""What a user may set of a task beside its data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nas.errors import InputError

MAX_SIDE = 1024  # pixels; far above what a microcontroller holds, low enough to catch a slip of the finger


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """Flags that only some tasks have; ``None`` or empty where one was not given."""

    input: str | None = None
    """Shape of one sample instead of the search space's: ``"64x64x1"`` is height, width, channels."""
    keywords: tuple[str, ...] = ()
    """Words or phrases to be spotted instead of the benchmark's ten."""
    clip: str | None = None
    """Length of an audio clip, ``"1s"``."""
    window: str | None = None
    """Length of a frame of which one spectrum is taken, ``"30ms"``."""
    hop: str | None = None
    """From the start of a frame to that of the next, ``"20ms"``."""
    mels: int | None = None
    """Mel bins of a spectrum."""
    coefficients: int | None = None
    """MFCC coefficients of a frame; 0 for the mel bins themselves, in logarithms."""

    def require_only(self, task: str, *names: str) -> None:
        """Refuse what a task does not have.

        Raises:
            InputError: a setting other than ``names`` was given.
        """
        for field in fields(self):
            if field.name not in names and getattr(self, field.name) != field.default:
                raise InputError(f"--{field.name} is nothing that the task {task} has; leave it out")

    @property
    def input_shape(self) -> tuple[int, int, int] | None:
        """``input`` as (height, width, channels).

        Raises:
            InputError: not written so, or out of range.
        """
        if self.input is None:
            return None
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})x([13])", self.input)
        if not match or not 8 <= min(int(match[1]), int(match[2])) <= max(int(match[1]), int(match[2])) <= MAX_SIDE:
            raise InputError(
                f"--input {self.input!r}: give height x width x channels with sides from 8 to {MAX_SIDE} and 1 channel "
                f"(grey) or 3 (RGB): 64x64x1"
            )
        height, width, channels = map(int, match.groups())
        return height, width, channels

    def to_json(self) -> dict[str, Any]:
        """What ``run.json`` keeps; ``from_json`` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskSettings:
        """Read what ``to_json`` wrote; ``TypeError`` for an unknown key, ``ValueError`` for a value of a wrong type."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(asdict(replace(cls(), **data)))
