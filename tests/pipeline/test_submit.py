"""A submission is written from runs, and passes the check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nas.errors import BusyRunError, InputError
from nas.files import locked_folder
from nas.harness.mlperf import runner
from nas.pipeline.reporter import Reporter
from nas.pipeline.submit import write_submission
from nas.submission import rules
from nas.submission.checker import check
from nas.submission.tree import UNVERIFIED

pytest.importorskip("unicorn", reason="needs the emulator")


@pytest.fixture
def run(checkout: Path) -> Path:
    return checkout / "exported" / "reference" / "kws-64kb"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A few files of noise in place of the benchmark's."""
    folder = tmp_path / "data" / "kws01"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(6):
        (folder / f"{number}.bin").write_bytes(rng.integers(-128, 128, 490, dtype=np.int8).tobytes())
    (folder / "y_labels.csv").write_text("".join(f"{number}.bin,12,{number}\n" for number in range(6)))
    return folder.parent


@pytest.mark.slow
def test_a_submission_of_one_run(run: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short windows, which the check finds, as it does that there are few files; nothing else is wrong."""
    monkeypatch.setattr(runner, "WINDOW_SECONDS", 0.3)
    out = tmp_path / "submission"
    (result,) = write_submission([run], "nasorg", "stm32l4r5zi", files, out, Reporter())
    assert (result.system, result.benchmark) == ("stm32l4r5zi__kws_64kb", "kws")
    assert 1 / result.throughput == pytest.approx(result.latency_ms["modelled"] / 1000, rel=0.01)
    texts = [finding.text for finding in check(out).findings]
    assert len(texts) == 2
    assert "has 6 files, the official list 1000" in texts[0]
    assert "each must last 10 s" in texts[1]
    place = out / "open" / "nasorg"
    described = json.loads((place / "systems" / f"{result.system}.json").read_text())
    assert set(described) == set(rules.SYSTEM_KEYS)
    assert (described["Status"], described["Processor(s) Frequencies"]) == ("RDI", "120 MHz")
    assert UNVERIFIED in (place / "README.md").read_text()
    script = (place / "code" / "kws" / result.system / "train.sh").read_text().splitlines()[-1]
    made = "--data speech_commands --seed 2 --epochs 80 --teacher exported/reference/kws-256kb"
    assert script == f"nas train arch.json {made} --out run"

    def measured_again(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("nas.pipeline.submit._emulated", measured_again)
    assert write_submission([run], "nasorg", "stm32l4r5zi", files, out, Reporter()) == [result]


@pytest.mark.slow
def test_a_network_that_was_not_measured_has_no_figures(
    run: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one of the same name, whose measuring was killed: the figures of the first are not its own."""
    out, other = tmp_path / "submission", tmp_path / "other" / run.name
    monkeypatch.setattr(runner, "WINDOW_SECONDS", 0.3)
    write_submission([run], "nasorg", "stm32l4r5zi", files, out, Reporter())
    shutil.copytree(run, other)
    (other / "winner" / "model.tflite").write_bytes((run.with_name("kws-256kb") / "winner/model.tflite").read_bytes())

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nas.pipeline.submit._emulated", killed)
    with pytest.raises(KeyboardInterrupt):
        write_submission([other], "nasorg", "stm32l4r5zi", files, out, Reporter())
    (record,) = out.glob("open/*/code/*/*/model.tflite")
    assert record.read_bytes() == (other / "winner" / "model.tflite").read_bytes()
    assert list(out.glob("open/*/code/*/*/measured.json")) == []


def test_two_processes_do_not_write_one_submission(run: Path, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "submission"
    out.mkdir()
    with locked_folder(out), pytest.raises(BusyRunError, match=r"another process works in .*submission"):
        write_submission([run], "nasorg", "stm32l4r5zi", files, out, Reporter())


def test_what_cannot_be_submitted(run: Path, files: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--mcu rp2350: expected a microcontroller whose time is modelled"):
        write_submission([run], "nasorg", "rp2350", files, tmp_path / "out", Reporter())
    with pytest.raises(InputError, match="two runs have the same name and task"):
        write_submission([run, run], "nasorg", "stm32l4r5zi", files, tmp_path / "out", Reporter())
    with pytest.raises(InputError, match="no evaluation files of kws01 in"):
        write_submission([run], "nasorg", "stm32l4r5zi", tmp_path / "none", tmp_path / "out", Reporter())
    assert not (tmp_path / "out").exists()
