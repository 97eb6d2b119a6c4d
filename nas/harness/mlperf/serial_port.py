"""A line to a device on a serial port: a board's, or a pseudo terminal."""

from __future__ import annotations

import importlib.util

from nas.errors import InputError, ValidationError

INSTALL = "pip install 'mcu-nas[serial]'"
BAUD = 115_200  # of performance and accuracy mode
ENERGY_BAUD = 9600
READ_BYTES = 4096


class SerialLink:
    """An open port."""

    def __init__(self, name: str, baud: int = BAUD) -> None:
        """Open it.

        Raises:
            InputError: pyserial is not installed, or the port cannot be opened.
        """
        if importlib.util.find_spec("serial") is None:
            raise InputError(f"no driver for serial ports: {INSTALL}")
        import serial

        try:
            self._port = serial.Serial(name, baud, timeout=0)
        except (serial.SerialException, ValueError) as error:
            raise InputError(f"cannot open the serial port {name}: {error}") from error
        self._name = name

    def send(self, data: bytes) -> None:
        """Bytes to the device.

        Raises:
            ValidationError: it is gone.
        """
        try:
            self._port.write(data)
        except OSError as error:  # pyserial's own errors are such
            raise self._gone(error) from error

    def receive(self, seconds: float) -> bytes:
        """Some bytes from the device, or none after so many seconds.

        Raises:
            ValidationError: it is gone.
        """
        try:
            self._port.timeout = seconds
            first: bytes = self._port.read(1)
            self._port.timeout = 0
            return first + self._port.read(READ_BYTES) if first else b""
        except OSError as error:
            raise self._gone(error) from error

    def close(self) -> None:
        """Hang up."""
        self._port.close()

    def _gone(self, error: OSError) -> ValidationError:
        return ValidationError(f"the device at {self._name} is gone: {error}")
