"""Conversions in forks of one process that has imported TensorFlow: 2 s each in place of 4.5 s.

A fork that has converted nothing yet is as fresh as a new process, and writes the same bytes
(``tests/export/test_tflite.py`` compares them). Workers of pytest-xdist share what they have converted.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

from nas.export import convert_worker, tflite

POLL_SECONDS = 1.0  # between two looks at whether the process that asks is still there
DONE = b"done"


class WarmConverter:
    """Takes the place of ``nas.export.tflite.run_process`` in tests."""

    def __init__(self, shared: Path, address: str = "") -> None:
        """Keep converted models in ``shared``, named by a hash of all that decides their bytes.

        Without the ``address`` of a process that converts, one is started when it is needed.
        """
        self._shared, self._address = shared, address
        self._server: subprocess.Popen[str] | None = None

    def command(self) -> list[str]:
        """Return the words that start ``nas`` in a process of its own that converts in the same way."""
        if not self._address:
            self._start()
        return [sys.executable, str(Path(__file__).with_name("warm_nas.py")), str(self._shared), self._address[1:]]

    def __call__(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Convert what ``folder`` holds; return the exit status and the output of the conversion."""
        kept = self._shared / f"{_digest(folder)}.tflite"
        if kept.exists():
            (folder / "model.tflite").write_bytes(kept.read_bytes())
            return subprocess.CompletedProcess([], 0, "", "")
        if not self._address:
            self._start()
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self._address)
            server.sendall(str(folder).encode())
            if server.recv(len(DONE)) != DONE:
                return subprocess.CompletedProcess([], 1, (folder / "output").read_text(errors="replace"), "")
        unfinished = kept.with_name(f"{kept.name}.{os.getpid()}")
        unfinished.write_bytes((folder / "model.tflite").read_bytes())
        unfinished.replace(kept)
        return subprocess.CompletedProcess([], 0, "", "")

    def close(self) -> None:
        """End the process that converts, if there is one."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()

    def _start(self) -> None:
        command = [sys.executable, __file__]
        self._server = subprocess.Popen(command, env=tflite.variables(), stdout=subprocess.PIPE, text=True)
        assert self._server.stdout is not None
        with self._server.stdout as said:
            said.readline()
        self._address = f"\0nas-convert-{self._server.pid}"


def _digest(folder: Path) -> str:
    request = json.loads((folder / "request.json").read_text())
    parts = [Path(request.pop("onnx")).read_bytes(), json.dumps(request).encode()]
    parts.append((folder / "calibration.npy").read_bytes())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def serve() -> None:
    """Fork for each folder that is asked for, until the process that started this one ends."""
    parent = os.getppid()
    convert_worker.import_libraries()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0nas-convert-{os.getpid()}")  # a name without a file, gone with the process
        listener.listen()
        listener.settimeout(POLL_SECONDS)
        os.write(1, b"listens\n")
        while os.getppid() == parent:
            try:
                asking, _ = listener.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                _convert(asking)
            asking.close()


def _convert(asking: socket.socket) -> None:
    """Do what the conversion's own process does in this one, and end it."""
    folder = Path(asking.recv(4096).decode())
    os.chdir(folder)
    output = os.open("output", os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        convert_worker.main(folder)
        asking.sendall(DONE)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(0)


if __name__ == "__main__":
    serve()
