"""A few images in the official layout of CIFAR-10, byte for byte as Python 2 pickled the official files."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nas.tasks.cifar10 import CLASSES, FOLDER, META_FILE, TEST_FILE, TRAINING_FILES


def python2_pickle(content: dict[bytes, Any]) -> bytes:
    """Protocol 2 with the byte strings of Python 2, which Python 3 cannot write."""
    pairs = b"".join(_string(key) + _value(value) for key, value in content.items())
    return b"\x80\x02}(" + pairs + b"u."


def write_cifar10(root: Path, per_class: int = 4, seed: int = 0) -> Path:
    """Write five batches for training and one for testing, each with so many random images of every class."""
    folder = root / FOLDER
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for name in (*TRAINING_FILES, TEST_FILE):
        labels = rng.permutation(np.repeat(np.arange(len(CLASSES)), per_class)).tolist()
        write_batch(folder / name, rng.integers(0, 256, (len(labels), 3072), np.uint8), labels)
    write_names(folder / META_FILE, CLASSES)
    return folder


def write_batch(path: Path, data: Any, labels: Any) -> None:
    """Write one batch, whatever its data and labels are."""
    path.write_bytes(python2_pickle({b"batch_label": b"training batch 1 of 5", b"labels": labels, b"data": data}))


def write_names(path: Path, names: Sequence[str]) -> None:
    """Write the file with the names of the classes."""
    path.write_bytes(python2_pickle({b"label_names": [name.encode() for name in names], b"num_vis": 3072}))


def _value(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_value, value)) + b"e"
    return _string(value) if isinstance(value, bytes) else _integer(value)


def _array(array: np.ndarray[Any, Any]) -> bytes:
    """As numpy 1 pickled it: ``_reconstruct(ndarray, (0,), "b")``, then shape, type, order and raw bytes."""
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + _string(b"b") + b"\x87R"
    shape = b"(" + b"".join(map(_integer, array.shape)) + b"t"
    code = _string(array.dtype.str[1:].encode())
    kind = b"cnumpy\ndtype\n" + code + b"K\x00K\x01\x87R(K\x03" + _string(b"|") + b"NNN" + _integer(-1) * 2 + b"K\x00tb"
    return empty + b"(K\x01" + shape + kind + b"\x89" + _string(array.tobytes()) + b"tb"


def _string(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value


def _integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)
