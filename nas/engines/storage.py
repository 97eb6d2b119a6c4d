"""Where a shared study is kept: a URL to one of Optuna's storages, and every way in which that can fail."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from nas.engines.base import StudyPlace
from nas.engines.patience import patient
from nas.engines.storage_url import hide_secrets
from nas.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import GrpcStorageProxy, JournalStorage

ACCEPTED = "sqlite:///FILE.db, journal:FILE, postgresql://, mysql:// or grpc://HOST:PORT"
DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
PACKAGES = {"postgresql": "psycopg", "mysql": "pymysql"}
CONNECT_SECONDS = 10  # a server that has not answered by then is told as unreachable
LOCK_SECONDS = 60  # SQLite: how long one worker waits for another's write
RETRIES = 2  # of a trial whose worker died; a network that has killed three workers is left alone
FIRST_TRIES = 5  # to set up an empty data base, which another worker may be doing at the same moment


def open_storage(place: StudyPlace) -> BaseStorage:
    """The storage of a URL. Data bases notice workers that died and have their trials retried.

    A server may be away for a while once it has answered; see ``patient``.

    A journal and a gRPC proxy keep no heartbeats.

    Raises:
        InputError: no URL of a kind that is known, a driver that is missing, or a storage that cannot be reached.
    """
    kind, _, rest = place.url.partition(":")
    with storage_errors(place), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if place.url.endswith(".journal") or kind == "journal":
            return _journal(rest if kind == "journal" else place.url)
        if kind == "grpc":
            return _grpc(place)
        if kind in ("sqlite", *DRIVERS):
            return _database(place, kind)
    raise InputError(f"--storage {place.shown}: not a storage that is known here; give {ACCEPTED}")


@contextmanager
def storage_errors(place: StudyPlace) -> Iterator[None]:
    """Tell a failure of the storage in two lines: which, and what it says.

    Raises:
        InputError: in place of any error of a storage or its driver.
    """
    try:
        yield
    except Exception as error:
        # Optuna forgets a variable where it can neither write the end of a trial nor read the trial
        cause = error.__context__ if isinstance(error, UnboundLocalError) else error
        if isinstance(cause, StorageInternalError | SQLAlchemyError):
            raise _failed(place, _deepest(cause)) from error
        if type(cause).__module__.partition(".")[0] not in ("grpc", "psycopg", "pymysql"):
            raise
        assert cause is not None
        raise _failed(place, cause) from error


def _failed(place: StudyPlace, cause: BaseException) -> InputError:
    details = getattr(cause, "details", None)  # of gRPC, whose text is a dump of several lines
    said = (details() if callable(details) else str(cause)).strip() or type(cause).__name__
    said = hide_secrets(said, place.url)
    if said == "database is locked":
        return InputError(
            f"--storage {place.shown}: another program kept the file locked for {LOCK_SECONDS} seconds\n"
            "close what holds it open, then give the same command again"
        )
    return InputError(
        f"--storage {place.shown} cannot be used: {said.splitlines()[0]}\nis it {ACCEPTED}, and reachable?"
    )


def _deepest(cause: BaseException) -> BaseException:
    """What the driver said, below what SQLAlchemy and Optuna made of it."""
    while (inner := getattr(cause, "orig", None) or cause.__cause__) is not None:
        cause = inner
    return cause


def _database(place: StudyPlace, kind: str) -> RDBStorage:
    scheme, _, rest = place.url.partition("://")
    url = f"{DRIVERS.get(scheme, scheme)}://{rest}"
    if kind == "sqlite" and rest.strip("/") in ("", ":memory:"):
        raise InputError(f"--storage {place.shown} names no file that workers could share; give sqlite:///FILE.db")
    connect: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if kind == "sqlite":
        connect = {"timeout": LOCK_SECONDS}
    elif kind == "postgresql":
        connect["client_encoding"] = "utf8"  # in a data base without one, text would come as bytes
    kind_of_storage = patient(RDBStorage, place.tell) if kind in DRIVERS else FileStorage
    for last in (False,) * (FIRST_TRIES - 1) + (True,):
        try:
            return kind_of_storage(
                url,
                {"connect_args": connect, "pool_pre_ping": True},  # hours pass between two writes
                heartbeat_interval=place.heartbeat_seconds,
                grace_period=place.grace_seconds,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=RETRIES),
            )
        except ImportError as cause:
            raise InputError(
                f"--storage {place.shown} needs the package {PACKAGES.get(kind, kind)}, which is not installed\n"
                f"pip install 'mcu-nas[{kind}]', or use sqlite:///FILE.db"
            ) from cause
        except RuntimeError as cause:  # made by another version of Optuna
            raise InputError(f"--storage {place.shown}: {cause}") from cause
        except SQLAlchemyError as cause:
            if last or not any(sign in str(cause) for sign in ("already exists", "duplicate key", "UNIQUE")):
                raise
            time.sleep(0.2)
    raise AssertionError


class FileStorage(RDBStorage):
    """A SQLite storage whose transactions lock the file from their first statement on.

    Optuna protects changes of a trial's state with ``SELECT ... FOR UPDATE``, which SQLite ignores. Without the lock,
    two workers could both retry a dead worker's trial and train the same network.

    After one wait of ``LOCK_SECONDS`` failed, later statements do not wait again, so that the process ends soon.
    """

    waits_until = math.inf  # time.monotonic of the end, while the file is locked

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        event.listen(self.engine, "begin", self._begin)

    def _begin(self, connection: Connection) -> None:
        self.waits_until = min(self.waits_until, time.monotonic() + LOCK_SECONDS)
        left_ms = max(0, int(1000 * (self.waits_until - time.monotonic())))
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {left_ms}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        self.waits_until = math.inf

    def record_heartbeat(self, trial_id: int) -> None:
        """Skip the heartbeat if the file is locked. An exception would end the thread that writes the next one."""
        with suppress(OperationalError, StorageInternalError):
            super().record_heartbeat(trial_id)


def _journal(path: str) -> JournalStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        return JournalStorage(JournalFileBackend(path))
    except OSError as cause:
        raise InputError(f"--storage {path}: {cause.strerror}; give a file in a folder that can be written") from cause
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise InputError(f"--storage {path}: not a journal of Optuna; give a file that is not there yet") from cause


def _grpc(place: StudyPlace) -> GrpcStorageProxy:
    parts = urlsplit(place.url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise InputError(f"--storage {place.shown}: give host and port, for example grpc://localhost:13000")
    _let_old_protobuf_read_new_code()
    from optuna.storages import GrpcStorageProxy

    storage = patient(GrpcStorageProxy, place.tell)(host=host, port=port)
    try:
        storage.wait_server_ready(CONNECT_SECONDS)
    except ConnectionError as cause:
        raise InputError(
            f"--storage {place.shown}: no gRPC proxy of Optuna answers there\n"
            f"start one with optuna.storages.run_grpc_proxy_server, or give another of {ACCEPTED}"
        ) from cause
    return storage


def _let_old_protobuf_read_new_code() -> None:
    """Stand in for ``google.protobuf.runtime_version``, which came with protobuf 5.26.

    Optuna's generated code asks it whether protobuf is new enough, and needs nothing else that 4.25 does not have;
    onnx2tf pins protobuf to 4.25.5.
    """
    name = "google.protobuf.runtime_version"
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    stand_in: Any = types.ModuleType(name)
    stand_in.Domain = types.SimpleNamespace(PUBLIC=None)
    stand_in.ValidateProtobufRuntimeVersion = lambda *version: None
    sys.modules[name] = stand_in
