"""Storages on a server, whose calls are made again while the server is away: searches outlive its restart."""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from sqlalchemy.exc import InterfaceError, OperationalError

S = TypeVar("S", bound=BaseStorage)
PATIENCE_SECONDS = 600.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0  # seconds between two tries; each is twice the one before
TOLD_PAUSE = 2.0  # seconds; a hiccup is not worth a line


def patient(kind: type[S], tell: Callable[[str], None]) -> type[S]:
    """The same storage with patience. What was being written is written again, which changes nothing if it was written.

    But for a new trial: one that was made and not heard of stays without a worker, and is passed over.

    Args:
        kind: a storage that talks to a server.
        tell: takes a line when the wait is longer than a moment; of the main thread only, heartbeats wait silently.
    """
    inside = threading.local()
    methods = {name: inspect.getattr_static(kind, name) for name in dir(kind) if not name.startswith("__")}
    calls = {  # private ones too: Optuna's cache calls some
        name: _patiently(method, tell, inside) for name, method in methods.items() if inspect.isfunction(method)
    }
    return cast("type[S]", type(kind.__name__, (kind,), calls))


def _patiently(method: Callable[..., Any], tell: Callable[[str], None], inside: threading.local) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(storage: BaseStorage, *args: Any, **kwargs: Any) -> Any:
        if getattr(inside, "one", False):  # a call of a call: all of it is made again
            return method(storage, *args, **kwargs)
        inside.one, pauses, first = True, _pauses(tell), True
        try:
            while True:
                try:
                    return method(storage, *args, **kwargs)
                except UpdateFinishedTrialError:
                    if first:
                        raise
                    return True  # the try before had come through
                except Exception as cause:
                    if not is_away(cause) or not next(pauses, False):
                        raise
                    first = False
        finally:
            inside.one = False

    return call


def _pauses(tell: Callable[[str], None]) -> Iterator[bool]:
    """Wait, longer each time, as often as is asked for within ``PATIENCE_SECONDS``."""
    end, pause, told = time.monotonic() + PATIENCE_SECONDS, FIRST_PAUSE, False
    while time.monotonic() < end:
        if pause >= TOLD_PAUSE and not told and threading.current_thread() is threading.main_thread():
            tell(f"the server of the storage is away; trying again for up to {PATIENCE_SECONDS / 60:.0f} minutes")
            told = True
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        yield True


def is_away(cause: BaseException | None) -> bool:
    """Whether an error, or what it came from, is of the way to the server and not of what was asked."""
    while cause is not None:
        code = getattr(cause, "code", None)  # of gRPC, whose package is not needed for the others
        if isinstance(cause, OperationalError | InterfaceError):
            return True
        if callable(code) and getattr(code(), "name", "") == "UNAVAILABLE":
            return True
        cause = cause.__cause__
    return False
