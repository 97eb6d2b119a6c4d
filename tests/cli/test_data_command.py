"""``nas data check``: what it prints, and its exit codes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_data import speech_clip, write_clip, write_pictures, write_speech

Call = Callable[..., Any]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pets")


@pytest.fixture(scope="module")
def clean_speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech(tmp_path_factory.mktemp("speech") / "words")


def test_a_clean_folder(call_nas: Call, pictures: Path) -> None:
    done = call_nas("data", "check", "image", "--data", "pets")
    assert done.code == 0
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert lines[0] == "pets for image, in pets"
    for line in ("samples train validation test", "cat 20 20 20", "all 40 40 40", "sizes: 120 samples of 8x8x3"):
        assert line in lines
    assert lines[-1] == "no duplicates, leaks, blank or damaged samples, no class without samples"


def test_a_fault_is_a_warning(call_nas: Call, pictures: Path) -> None:
    for index in range(7):
        shutil.copy(pictures / f"train/cat/0{index}.png", pictures / f"test/cat/9{index}.png")
    done = call_nas("data", "check", "image", "--data", "pets")
    assert done.code == 0
    assert "leaks: the same samples in train and test: 7\n    test/cat/90.png = train/cat/00.png\n" in done.out
    assert done.out.endswith("    and 2 more; --json lists all\n")
    report = json.loads(call_nas("data", "check", "image", "--data", "pets", "--json").out)
    (finding,) = report["findings"]
    assert (finding["rule"], len(finding["where"])) == ("leaks", 7)


def test_json(call_nas: Call, pictures: Path) -> None:
    done = call_nas("data", "check", "image", "--data", pictures, "--json")
    report = json.loads(done.out)
    assert done.out.count("\n") == 1
    assert (report["task"], report["usable"], report["error"], report["findings"]) == ("image", True, None, [])
    assert report["data"] == {
        "name": "pets",
        "synthetic": False,
        "folder": str(pictures),
        "train": 40,
        "validation": 40,
        "test": 40,
    }
    assert report["samples"]["train"] == {"cat": 20, "dog": 20}


def test_what_cannot_be_used_is_shown_and_refused(call_nas: Call, clean_speech: Path, tmp_path: Path) -> None:
    """The last lines are those that a search would end with."""
    root = shutil.copytree(clean_speech, tmp_path / "words")
    for word in ("go", "up"):
        (root / speech_clip(word, 3)).write_bytes(b"RIFF, but not for long")
    done = call_nas("data", "check", "kws", "--data", root)
    assert done.code == 2
    assert "unreadable: files that cannot be used: 2" in done.out
    errors = done.err.splitlines()[-2:]
    assert errors[0].startswith(f"nas: error: {root / speech_clip('go', 3)}: not a readable wav file")
    assert errors[1] == "  and 1 more that cannot be used"
    report = json.loads(call_nas("data", "check", "kws", "--data", root, "--json").out)
    assert report["usable"] is False
    assert "not a readable wav file" in report["error"]


def test_parts_of_speech_that_the_loader_needs(call_nas: Call, clean_speech: Path, tmp_path: Path) -> None:
    root = shutil.copytree(clean_speech, tmp_path / "words")
    (root / "testing_list.txt").unlink()
    done = call_nas("data", "check", "kws", "--data", root)
    assert (done.code, done.out) == (2, "")
    assert "testing_list.txt is missing, and only it says which clips are for test" in done.err


def test_speech_in_words(call_nas: Call, clean_speech: Path, tmp_path: Path) -> None:
    root = shutil.copytree(clean_speech, tmp_path / "words")
    write_clip(root / "go" / "long.wav", seed=1, seconds=1.5)
    out = call_nas("data", "check", "kws", "--data", root).out
    assert (
        "durations: 0.05 to 1.50 s, median 0.05 s; 720 shorter than 1 s get zeros, 1 longer are cut; 721 at 16000 Hz"
    ) in out
    assert "note: this is a part of the official set: train 241 of 85,511" in out


def test_evaluation_files_are_known_by_their_list(call_nas: Call, tmp_path: Path) -> None:
    for index in range(20):
        (tmp_path / f"{index}.bin").write_bytes(bytes([index, 90]) * 245)
    (tmp_path / "y_labels.csv").write_text("".join(f"{index}.bin,12,4\n" for index in range(20)))
    report = json.loads(call_nas("data", "check", "kws", "--data", tmp_path, "--json").out)
    assert report["samples"]["y_labels"]["off"] == 20
    assert report["usable"] is True
    assert [finding["rule"] for finding in report["findings"]] == ["missing_classes"]


def test_builtin_is_synthetic(call_nas: Call) -> None:
    """Also where nothing is named and nothing is there."""
    for words in ((), ("--data", "builtin")):
        done = call_nas("data", "check", "kws", *words)
        assert done.code == 0
        assert "builtin-espeak for kws, SYNTHETIC DATA, says nothing about real use" in done.out
        report = json.loads(call_nas("data", "check", "kws", *words, "--json").out)
        assert (report["data"]["synthetic"], report["data"]["train"]) == (True, 1800)


def test_without_a_name_it_takes_what_a_search_takes(
    call_nas: Call, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(pictures, pictures.parent / "data" / "image")
    monkeypatch.setenv("NAS_DATA", str(pictures.parent / "data"))
    assert json.loads(call_nas("data", "check", "image", "--json").out)["data"]["train"] == 40


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("imag",), "unknown task 'imag'"),
        (("image", "--data", "nowhere"), "data folder nowhere does not exist"),
        (("image", "--data", "builtin"), "no data for image: nothing is built in"),
        (("kws", "--data", "pets"), "pets: not Speech Commands"),
        (("ic", "--data", "pets"), "pets: not CIFAR-10"),
        (("ad", "--data", "pets"), "pets/train: no clips"),
    ],
    ids=" ".join,
)
def test_bad_input(call_nas: Call, pictures: Path, words: tuple[str, ...], named: str) -> None:
    done = call_nas("data", "check", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("nas: error: ")
    assert named in done.err
    assert "Traceback" not in done.err
