from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from nas.errors import InputError
from nas.files import atomic_write, write_bytes, write_json


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
