"""Signals that end a command: SIGTERM and SIGHUP interrupt it as Ctrl-C does, so that it can be resumed."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130  # exit code


def interrupt_on_signals() -> None:
    """Raise ``KeyboardInterrupt`` at the first of ``SIGNALS``, and end the process at the third.

    The second one only tells that the command is stopping: raised again, it would break off what the first one began.
    A signal that the parent process ignores, as under ``nohup``, stays ignored.
    """
    received = 0

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal received
        received += 1
        if received == 1:
            raise KeyboardInterrupt
        if received == 2:
            os.write(sys.stderr.fileno(), b"nas: stopping; once more ends it at once\n")
        else:
            os._exit(INTERRUPTED)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)
