"""The same ``nas train`` again goes on where the first was broken off, and ends with the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nas
from nas.engines.run_folder import RunFolder
from nas.errors import InterruptedRunError, RunFolderError
from nas.pipeline.reporter import Reporter
from nas.training.loop import Epoch


class Broken(Reporter):
    """Hears which epochs there were and what was noted, and breaks off after one of them."""

    def __init__(self, after: int | None = None) -> None:
        self.after, self.epochs, self.notes = after, list[int](), list[str]()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def epoch(self, what: str, epoch: Epoch, epochs: int) -> None:
        self.epochs.append(epoch.number)
        if epoch.number == self.after:
            raise KeyboardInterrupt


def train(out: Path, reporter: Reporter, **options: Any) -> dict[str, Any]:
    usual = {"data": "builtin", "epochs": 3, "qat": False}
    return nas.train("kws_micronet:smallest", out=out, reporter=reporter, **(usual | options))


@pytest.mark.slow
@pytest.mark.usefixtures("small_builtin", "shared_cache")
def test_a_training_that_is_broken_off(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError, match=r"the same command with --out .*run goes on"):
        train(tmp_path / "run", Broken(after=2))
    with pytest.raises(RunFolderError, match="holds another run, with other seed; give another --out"):
        train(tmp_path / "run", Reporter(), seed=1)
    second, whole = Broken(), Broken()
    record = RunFolder.open(tmp_path / "run")
    threads = record.record()["threads"]
    record.update(threads=threads + 1)  # as if it had been on another machine
    train(tmp_path / "run", second)
    assert f"was started with {threads + 1} threads, here are {threads}" in " ".join(second.notes)
    train(tmp_path / "whole", whole)
    assert (second.epochs, whole.epochs) == ([3], [1, 2, 3])
    files = [tmp_path / run / "winner" / "model.tflite" for run in ("run", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    with pytest.raises(RunFolderError, match="is finished: see"):
        train(tmp_path / "run", Reporter())
