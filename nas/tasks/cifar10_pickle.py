"""The pickles of CIFAR-10, read without running what they say.

A pickle is a program that may call anything. These files need few calls: those that make an array of uint8, and
that by which Python 3 writes bytes in protocol 2. Each has a stand-in here; whatever else a file asks for is refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import DataError
from nas.files import read_bytes


def read_pickle(path: Path) -> dict[bytes, Any]:
    """Read a dictionary with keys in bytes; arrays in it must be uint8, and are read-only.

    Raises:
        DataError: not a pickle, a damaged one, or one that asks for more than CIFAR-10 needs.
    """
    try:
        data = read_bytes(path, DataError)
        _require_small_memo(data)
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can raise anything: see the documentation of pickle.UnpicklingError
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{path}: not a readable CIFAR-10 file ({reason}); unpack the official archive again"
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, expected a dictionary as in the official archive")
    return {key: value.values if isinstance(value, _Array) else value for key, value in content.items()}


def _require_small_memo(data: bytes) -> None:
    """Refuse a place in the memo beyond what a file of this size can fill.

    A pickle of ten bytes may name place 2^28, for which 4 GB would be taken.
    """
    for opcode, place, _ in pickletools.genops(data):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and place is not None and place > len(data):
            raise pickle.UnpicklingError(f"it puts something into place {place:,} of its memo")


class _Type:
    """Stands for ``numpy.dtype``; what a pickle adds to its code (alignment, byte order) says nothing about uint8."""

    def __init__(self, code: str | bytes, *flags: object) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code

    def __setstate__(self, state: object) -> None:
        pass


class _Array:
    """Stands for ``numpy.ndarray``, whose own ``__setstate__`` trusts what it is given."""

    values: np.ndarray[Any, np.dtype[np.uint8]]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, is_fortran, raw = state
        if not isinstance(kind, _Type) or kind.code != "u1":
            raise pickle.UnpicklingError(f"an array of {getattr(kind, 'code', kind)}, expected u1, which is uint8")
        self.values = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if is_fortran else "C")


def _reconstruct(*arguments: object) -> _Array:
    """Stand for numpy's function of that name, which makes the empty array that ``__setstate__`` fills."""
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    """Stand for ``_codecs.encode``."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}, expected 'latin1'")
    return text.encode(encoding)


ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,  # as numpy 2 writes it
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no file of CIFAR-10 needs")
        return ADMITTED[module, name]
