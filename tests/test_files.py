from __future__ import annotations

import json
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError
from nas.files import atomic_write, locked_folder, write_bytes, write_json
from nas.tasks.feature_cache import create_array


def test_the_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "result"
    with atomic_write(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path: Path, failure: type[BaseException]) -> None:
    with atomic_write(path) as file:
        file.write(b"new")
        raise failure


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failed_write_keeps_what_was_there(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "result"
    write_bytes(path, b"old")
    with pytest.raises(failure):
        write_half(path, failure)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_ctrl_c_right_after_the_file_took_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as what it is, not as a file that cannot be written."""
    replace = os.replace

    def replace_and_be_interrupted(source: str, target: Path) -> None:
        replace(source, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "result", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new"]


def test_a_failed_first_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "result", {"not": {"json"}})
    assert list(tmp_path.iterdir()) == []


def test_everyone_may_read_a_result(tmp_path: Path) -> None:
    write_bytes(tmp_path / "result", b"x")
    assert (tmp_path / "result").stat().st_mode & 0o777 == 0o644


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*nowhere/result: No such file or directory"):
        write_bytes(tmp_path / "nowhere" / "result", b"x")


def test_a_reader_sees_either_version_whole(tmp_path: Path) -> None:
    path = tmp_path / "result"
    versions = [bytes([value]) * 100_000 for value in (1, 2)]
    write_bytes(path, versions[0])

    def write_many() -> None:
        for index in range(30):
            write_bytes(path, versions[index % 2])

    writer = threading.Thread(target=write_many)
    writer.start()
    while writer.is_alive():
        assert path.read_bytes() in versions
    writer.join()


def test_json_keeps_the_order_of_keys(tmp_path: Path) -> None:
    write_json(tmp_path / "result", {"b": 1, "a": [2.5, None]})
    text = (tmp_path / "result").read_text()
    assert text.index('"b"') < text.index('"a"')
    assert json.loads(text) == {"b": 1, "a": [2.5, None]}


@contextmanager
def full_disk(bytes_left: int) -> Iterator[None]:
    """A limit to the size of files fails in the middle of a write too, as a disk does that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "result"
    write_bytes(path, b"old")
    with full_disk(1000), pytest.raises(InputError, match=r"^cannot write .*/result: File too large$"):
        write_bytes(path, bytes(5000))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_array_takes_its_place_at_once(tmp_path: Path) -> None:
    """Written to later through memory, a full disk would end the process without a word."""
    array = create_array(tmp_path / "array.npy", np.float32, (1000, 50))
    assert (tmp_path / "array.npy").stat().st_blocks * 512 >= 200_000
    array[:] = 1.0
    assert np.load(tmp_path / "array.npy").sum() == 50_000


def test_what_a_killed_process_left_goes_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in (".hidden", ".a.json.bak", "result", ".lock", ".result.0123456789")]
    (tmp_path / "inner").mkdir()
    for path in (*kept, tmp_path / ".result.a1_b2c3d", tmp_path / "inner" / ".run.json.abcdefgh"):
        path.touch()
    with locked_folder(tmp_path):
        assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)
