"""A line to a device under test, or to a power meter."""

from __future__ import annotations

from typing import Protocol


class Link(Protocol):
    """Bytes there and back."""

    def send(self, data: bytes) -> None:
        """Bytes to the device."""

    def receive(self, seconds: float) -> bytes:
        """Some bytes from the device; none where nothing came in that time.

        Raises:
            ValidationError: the device is gone.
        """

    def close(self) -> None:
        """Hang up."""
