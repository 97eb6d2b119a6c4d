"""Files that are either whole or not there; and what others wrote, read without running any of it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nas.errors import InputError, RunFolderError


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of ``path`` when the block ends well, and vanishes when it does not.

    Raises:
        InputError: the folder is missing or cannot be written.
    """
    try:
        file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
    except OSError as cause:
        raise InputError(f"cannot write {path}: {cause.strerror}") from cause
    with file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(file.name, 0o644)  # temporary files are private; a result is for everyone who can read the folder
    os.replace(file.name, path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file at once."""
    with atomic_write(path) as file:
        file.write(content)


def read_checkpoint(path: Path, **options: Any) -> Any:
    """What ``torch.save`` wrote, as far as it is tensors and plain values: a run folder may be somebody else's.

    Raises:
        RunFolderError: it holds more than that, or is damaged.
    """
    import torch

    try:
        return torch.load(path, weights_only=True, **options)
    except Exception as cause:  # it comes in as many kinds as there are damages
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        raise RunFolderError(
            f"{path}: no checkpoint of tensors and plain values ({reason}); delete it to begin again"
        ) from cause


def read_weights(path: Path) -> dict[str, Any]:
    """Tensors by name, of a ``.safetensors`` file.

    Raises:
        RunFolderError: it is none, or is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as cause:
        raise RunFolderError(f"{path}: no file of weights: {cause}") from cause


def write_json(path: Path, data: Any) -> None:
    """Write JSON, indented, keys in the order given."""
    write_bytes(path, (json.dumps(data, indent=2) + "\n").encode())
