"""A device under test behind a pseudo terminal, which any serial client can open like a board's port."""

from __future__ import annotations

import os
import select
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nas.errors import InputError
from nas.harness.mlperf.device import Device

READ_BYTES = 4096
PATIENCE_SECONDS = 1.0  # for a client to read; then what it was told is lost, as on a wire


def serve(device: Device, port: Port) -> None:
    """Answer whoever opens the port, one after another, until interrupted."""
    port.write(device.boot())
    while True:
        port.write(device.receive(port.read()))


class Port:
    """The board's end of a pseudo terminal."""

    def __init__(self) -> None:
        """Open it, in raw mode: an echo or a changed line end would damage the protocol."""
        self._master, self._slave = os.openpty()  # the other end stays open here: clients come and go
        tty.setraw(self._slave)
        self.name = os.ttyname(self._slave)
        """What a client opens, such as ``/dev/pts/5``."""

    def read(self) -> bytes:
        """Wait for bytes."""
        return os.read(self._master, READ_BYTES)

    def write(self, data: bytes) -> None:
        """Send bytes, as far as somebody takes them."""
        while data and select.select([], [self._master], [], PATIENCE_SECONDS)[1]:
            data = data[os.write(self._master, data[:READ_BYTES]) :]

    def close(self) -> None:
        """Hang up."""
        os.close(self._master)
        os.close(self._slave)


@contextmanager
def open_port(link: Path | None) -> Iterator[Port]:
    """A port, and a symbolic link to it under a name that stays; both are gone afterwards.

    Raises:
        InputError: something else has that name, or it cannot be made.
    """
    port = Port()
    try:
        if link is not None:
            _point(link, port.name)
        yield port
    finally:
        port.close()
        if link is not None and link.is_symlink() and os.readlink(link) == port.name:
            link.unlink()


def _point(link: Path, name: str) -> None:
    with suppress(FileNotFoundError):
        if not link.is_symlink():
            link.lstat()
            raise InputError(f"--pty {link} exists already: give the name of a link that may be made")
        link.unlink()
    try:
        link.symlink_to(name)
    except OSError as error:
        raise InputError(f"--pty {link}: {error.strerror}") from error
