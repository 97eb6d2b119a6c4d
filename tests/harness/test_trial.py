"""Files that the runtimes load and then die of, found by changing bytes of a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import ValidationError
from nas.harness import trial
from nas.harness.trial import require_runs


@pytest.fixture(scope="module")
def good(checkout: Path) -> bytes:
    return (checkout / "exported" / "reference" / "kws-64kb" / "winner" / "model.tflite").read_bytes()


def changed(model: bytes, *changes: tuple[int, int]) -> bytes:
    bad = bytearray(model)
    for place, byte in changes:
        bad[place] = byte
    return bytes(bad)


@pytest.mark.parametrize(
    "changes",
    [
        [(944, 248), (1406, 128)],  # LiteRT aborts
        [(2992, 71), (56018, 50)],  # it reads where there is nothing
        [(3056, 0)],  # a division by zero in its reference kernels
        [(3627, 8)],  # TFLM wants all memory there is
    ],
)
def test_what_a_runtime_dies_of_ends_in_a_line(good: bytes, changes: list[tuple[int, int]]) -> None:
    with pytest.raises(
        ValidationError, match=r"^(LiteRT|TensorFlow Lite Micro).* (dies of|cannot run|refuses) the model"
    ):
        require_runs(changed(good, *changes))


def test_a_signal_is_named(good: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever this machine makes of damaged files."""
    worker = tmp_path / "worker.py"
    worker.write_text("import os\nprint('LiteRT', flush=True)\nos.abort()\n")
    monkeypatch.setattr(trial, "COMMAND", (str(worker),))
    with pytest.raises(ValidationError, match=r"^LiteRT dies of the model \(SIGABRT\)$"):
        require_runs(good)


def test_a_good_file_runs(good: bytes) -> None:
    require_runs(good)
