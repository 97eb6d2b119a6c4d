"""The run folder: everything that a search was asked, found and produced; a killed run goes on from it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.engines.base import Candidate
from nas.errors import InputError, RunFolderError
from nas.files import append_line, as_written, locked_folder, parse_json, read_bytes, read_json, write_json
from nas.folders import RUN, require_own


@dataclass(frozen=True, slots=True)
class RunFolder:
    """``run.json`` (inputs, versions, status), ``candidates.jsonl`` (append-only) and ``winner/``."""

    path: Path

    @property
    def record_file(self) -> Path:
        """All inputs of the run, what they resolved to, and its status."""
        return self.path / "run.json"

    @property
    def winner(self) -> Path:
        """Folder of the trained and exported network."""
        return self.path / "winner"

    @classmethod
    def create(cls, path: Path, record: dict[str, Any]) -> RunFolder:
        """Make a new folder and write its record.

        Raises:
            RunFolderError: the place cannot be written, or holds a run already, or a link; see ``nas.folders``.
        """
        run = cls(path)
        require_own(path, RUN)
        if run.record_file.exists():
            raise RunFolderError(f"{path} holds a run already: go on with --resume {path}, or give another --out")
        try:
            run.winner.mkdir(parents=True, exist_ok=True)
            write_json(run.record_file, record)
        except OSError as cause:
            raise RunFolderError(f"cannot write the run folder {path}: {cause.strerror}; give another --out") from cause
        return run

    def discard(self) -> None:
        """Take back a folder that was just made; one that holds any result, and the user's own files, stay."""
        if any(self.winner.iterdir()) or (self.path / "candidates.jsonl").exists():
            return
        self.record_file.unlink(missing_ok=True)
        (self.path / ".lock").unlink(missing_ok=True)
        for folder in (self.winner, self.path):
            with contextlib.suppress(OSError):  # not empty: somebody else's
                folder.rmdir()

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """A folder that is there.

        Raises:
            RunFolderError: there is no run in it, or a link; see ``nas.folders``.
        """
        run = cls(path)
        require_own(path, RUN)
        if not run.record_file.is_file():
            raise RunFolderError(f"no run in {path}: there is no {run.record_file}")
        return run

    def model_file(self) -> Path:
        """The INT8 file of the winner.

        Raises:
            RunFolderError: nothing is exported yet.
        """
        path = self.winner / "model.tflite"
        if not path.is_file():
            raise RunFolderError(f"the run in {self.path} has no model yet: there is no {path}")
        return path

    def record(self) -> dict[str, Any]:
        """What ``run.json`` says.

        Raises:
            RunFolderError: it was edited into something else.
        """
        record = read_json(self.record_file, RunFolderError)
        if not isinstance(record, dict) or "schema" not in record:
            raise RunFolderError(f"{self.record_file}: not a run record: no schema")
        if record["schema"] != 1:
            raise RunFolderError(f"{self.record_file}: schema {record['schema']!r} is not known; this version reads 1")
        return record

    @contextmanager
    def result(self) -> Iterator[dict[str, Any]]:
        """What ``result.json`` says, for a block that takes what it needs of it.

        Raises:
            RunFolderError: the run is not finished, or the file was edited into something else.
        """
        path = self.path / "result.json"
        if not path.is_file():
            status = self.record().get("status", "not finished")
            raise RunFolderError(f"the run in {self.path} is {status}: there is no {path}")
        report = read_json(path, RunFolderError)
        with as_written(path, RunFolderError):
            yield report

    def update(self, **changes: Any) -> None:
        """Change top-level keys of the record."""
        write_json(self.record_file, {**self.record(), **changes})

    def candidates(self) -> list[Candidate]:
        """Every finished candidate; a line that was cut short by a kill is none."""
        file = self.path / "candidates.jsonl"
        if not file.exists():
            return []
        content = read_bytes(file, RunFolderError)
        whole = content[: content.rfind(b"\n") + 1]
        try:
            return [Candidate.from_json(parse_json(line, file)) for line in whole.splitlines()]
        except (ValueError, KeyError, TypeError, AttributeError, InputError) as cause:
            raise RunFolderError(f"{file}: not a list of candidates: {cause}") from cause

    def append(self, candidate: Candidate) -> None:
        """Add one candidate; it is on the disk when this returns."""
        append_line(self.path / "candidates.jsonl", json.dumps(candidate.to_json()).encode())

    def locked(self) -> AbstractContextManager[None]:
        """See ``locked_folder``."""
        return locked_folder(self.path)
