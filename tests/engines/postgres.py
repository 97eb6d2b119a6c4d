"""A PostgreSQL server of the test's own, on a random port of this machine, gone when the test ends."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "for-this-test-only"
START_SECONDS = 30


class CannotStartError(Exception):
    """Why there is no server on this machine."""


@dataclass(frozen=True)
class Server:
    """A server with one empty data base."""

    port: int
    start: Callable[[], None]
    stop: Callable[[], None]

    def url(self, password: str = PASSWORD, database: str = "postgres") -> str:
        return f"postgresql://nas:{password}@127.0.0.1:{self.port}/{database}"


@contextmanager
def postgres_server() -> Iterator[Server]:
    """Start a server as a user without rights, which it insists on.

    Raises:
        CannotStartError: it is not installed, or there is no such user.
    """
    binaries, user = _binaries(), _user()
    with tempfile.TemporaryDirectory(prefix="nas-postgres-") as name, socket.socket() as free:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        for path in (folder, folder / "password"):
            shutil.chown(path, user)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        data = folder / "data"
        create = [binaries / "initdb", "-D", data, "-U", "nas", "-A", "scram-sha-256", "--no-sync", "--no-locale"]
        _run([*create, "--pwfile", folder / "password"], user, folder)
        free.close()
        listen = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", folder, "-c", "fsync=off"]
        running: list[subprocess.Popen[bytes]] = []

        def start() -> None:
            with (folder / "log").open("ab") as log:
                command = [binaries / "postgres", "-D", data, *listen]
                running.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **_as(user)))
            _wait_for(server.url(), running[-1], folder / "log")

        def stop() -> None:
            running[-1].send_signal(signal.SIGINT)  # its fast end, which does not wait for connections to be closed
            running[-1].wait(START_SECONDS)

        server = Server(port, start, stop)
        try:
            start()
            yield server
        finally:
            if running:
                stop()


def _binaries() -> Path:
    found = shutil.which("initdb") or max(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)
    if found is None:
        raise CannotStartError("PostgreSQL is not installed")
    return Path(found).resolve().parent


def _user() -> str:
    """Whoever runs the tests; where that is root, one without rights."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise CannotStartError("PostgreSQL refuses to run as root, and there is no other user")


def _as(user: str) -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _run(command: list[str | Path], user: str, folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, **_as(user))
    if done.returncode != 0:
        raise CannotStartError(f"initdb: {done.stderr.strip()}")


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    end = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as cause:
            if server.poll() is not None or time.monotonic() > end:
                raise CannotStartError(f"PostgreSQL: {log.read_text().strip()[-300:]}") from cause
            time.sleep(0.1)
        else:
            return
