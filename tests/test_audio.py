"""The user's own keywords and sounds from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from nas.tasks import keyword_speech

Call = Callable[..., Any]

KEYWORDS = ["--task", "kws", "--keywords", "lamp on, lamp off"]
SMALL = ["--space", "kws_ds_cnn", "--flash", "24KB", "--ops", "2M", "--trials", "1", "--epochs", "2"]
SEARCH = [*SMALL, "--engine", "random", "--train-epochs", "2", "--out", "run", "--json"]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("espeakng_loader")
    monkeypatch.setattr(keyword_speech, "CLIPS", {"train": 30, "validation": 6, "test": 8})


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    """Low and high tones of many lengths and rates, in noise: two classes that any network can tell apart."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("low", "high")):
        (tmp_path / "tones" / name).mkdir(parents=True)
        for index in range(40):
            rate, hertz = (16_000, 44_100)[index % 2], rng.uniform(200, 500) * (1 + 5 * label)
            seconds = np.arange(int(rng.uniform(0.5, 1.5) * rate)) / rate
            audio = np.sin(2 * np.pi * hertz * seconds) + 0.1 * rng.standard_normal(len(seconds))
            soundfile.write(tmp_path / "tones" / name / f"{index}.wav", (0.3 * audio).astype(np.float32), rate)
    return tmp_path / "tones"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "audio"], "the task audio needs --data DIR"),
        (["--task", "kws", "--mels", "20"], "--mels is nothing that the task kws has"),
        (["--task", "ic", "--keywords", "a"], "--keywords is nothing that the task ic has"),
        (["--task", "kws", "--keywords", "yes,,no"], "cannot use ''"),
    ],
)
def test_wrong_requests(call_nas: Call, words: list[str], message: str) -> None:
    done = call_nas("search", *words, "--flash", "40KB", "--dry-run")
    assert done.code == 2
    assert message in done.err


def test_the_price_of_keywords_counts_what_will_be_spoken(
    call_nas: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kws").mkdir()
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    done = call_nas("search", *KEYWORDS, "--flash", "40KB", "--dry-run")
    assert done.code == 0, done.err
    assert "builtin: SYNTHETIC, made on the spot, 2,000 training samples" in done.out + done.err


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_keywords_are_searched_for_validated_and_exported(call_nas: Call) -> None:
    done = call_nas("search", *KEYWORDS, *SEARCH)
    assert done.code == 0, done.err
    assert "SYNTHETIC DATA: the keywords are spoken by a program" in done.err
    report = json.loads(done.out)
    winner = report["winner"]
    assert report["data"]["classes"] == ["lamp on", "lamp off", "silence", "unknown"]
    assert winner["arch"]["classes"] == 4
    assert winner["measured"]["flash_bytes"] == winner["predicted"]["flash_bytes"]
    found = json.loads(call_nas("validate", "run", "--task", "kws", "--json").out)
    assert (found["total"], found["correct"]) == (winner["int8_total"], winner["int8_correct"])
    again = call_nas("export", "run", "--json")
    assert again.code == 0, again.err


@pytest.mark.slow
def test_sounds_are_searched_for_and_validated(call_nas: Call, tones: Path, tmp_path: Path) -> None:
    done = call_nas("search", "--task", "audio", "--data", tones, *SEARCH)
    assert done.code == 0, done.err
    report = json.loads(done.out)
    winner, data = report["winner"], report["data"]
    assert (data["name"], data["synthetic"], data["classes"]) == ("tones", False, ["high", "low"])
    assert (data["train"], data["validation"], data["test"]) == (64, 8, 8)
    assert "last longer than the clip of 1 s; the loudest part of each is used" in done.err
    assert winner["arch"]["task"] == "audio"
    found = json.loads(call_nas("validate", "run", "--task", "audio", "--json").out)
    assert (found["total"], found["correct"]) == (winner["int8_total"], winner["int8_correct"])
    tones.joinpath("high").rename(tones / "shrill")
    refused = call_nas("validate", "run", "--task", "audio", "--data", tones)
    assert refused.code == 2
    assert "was trained for high, low; the data has low, shrill" in refused.err
