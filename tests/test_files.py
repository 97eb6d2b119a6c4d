from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError
from nas.files import UNFINISHED, append_line, atomic_write, locked_folder, scratch_folder, write_bytes, write_json
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


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_users_umask_is_respected(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "result", b"x")
        append_line(tmp_path / "lines", b"x")
    finally:
        os.umask(before)
    for name in ("result", "lines"):
        assert (tmp_path / name).stat().st_mode & 0o777 == mode


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
    """Files of the user stay, whatever they are called; so do links, and what lies behind a link."""
    names = (".hidden", ".lock", ".env.template", ".env.defaults", ".config.settings", "inner/.prettierrc.override")
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    for path in (folder / "inner", elsewhere):
        path.mkdir(parents=True)
    kept = [*(folder / name for name in names), elsewhere / f".run.json.01234567{UNFINISHED}"]
    for path in (*kept, folder / f".result.01234567{UNFINISHED}", folder / "inner" / f".run.json.89abcdef{UNFINISHED}"):
        path.touch()
    (folder / "link").symlink_to(elsewhere)
    (folder / f".link.01234567{UNFINISHED}").symlink_to(kept[-1])
    (folder / f".folder.01234567{UNFINISHED}").mkdir()
    with locked_folder(folder):
        files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
        assert sorted(files) == sorted(kept)
        assert len([path for path in folder.iterdir() if path.is_symlink()]) == 2


def test_what_is_being_written_has_the_mark_of_what_may_be_removed(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "result"):
        (unfinished,) = tmp_path.iterdir()
        with locked_folder(tmp_path):
            assert not unfinished.exists()
        unfinished.touch()


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A file of the user outside of a stranger's folder, which must stay as it is."""
    path = tmp_path / "victim"
    path.write_bytes(b"a line\nand a half")
    yield path
    assert path.read_bytes() == b"a line\nand a half"


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(victim)
    with pytest.raises(InputError, match=r"cannot write .*run/\.lock: it is a link"), locked_folder(tmp_path / "run"):
        pytest.fail("locked")


def test_lines_are_not_appended_through_a_link(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "lines").symlink_to(victim)
    with pytest.raises(InputError, match=r"cannot write .*lines: it is a link"):
        append_line(tmp_path / "lines", b"more")


@pytest.mark.parametrize("left", [b"", b"one\n", b"one\ntw", b"tw", b"x" * 200_000 + b"\ntw"], ids=len)
def test_a_line_takes_the_place_of_one_that_was_cut_short(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / "lines"
    path.write_bytes(left)
    append_line(path, b"new")
    assert path.read_bytes() == left[: left.rfind(b"\n") + 1] + b"new\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "small", place]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may make a file system")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_place_for_temporary_files_is_named(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the program that writes there says: numpy names no file, and torch's error is none of the system."""
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    many = np.zeros(1 << 20, np.int8)
    writers = (lambda path: np.save(path, many), lambda path: path.write_bytes(many), lambda path: many.tofile(path))
    for write in writers:
        with pytest.raises(InputError) as found, scratch_folder("test") as folder:
            write(folder / "many.npy")
        assert str(found.value).startswith(f"cannot write {small_disk}/nas-test-")
        assert f"no room is left for temporary files in {small_disk}\n" in str(found.value)
        assert list(small_disk.iterdir()) == []
    with pytest.raises(ZeroDivisionError), scratch_folder("test") as folder:
        1 / 0  # noqa: B018  what is no matter of room stays what it is
