from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nas.errors import DataError, InputError
from nas.tasks import TaskSettings, get_task, keyword_speech
from nas.tasks.base import DataSet
from nas.tasks.espeak import pronounce
from nas.tasks.keyword_recordings import find_recordings
from nas.tasks.keywords import near_texts, parse_keywords, write_unknown

pytest.importorskip("espeakng_loader")

LAMP = ("lamp on", "lamp off")
CLASSES = (*LAMP, "silence", "unknown")
Record = Callable[..., Path]


def test_classes_are_the_keywords_in_order_then_silence_and_unknown() -> None:
    task = get_task("kws", settings=TaskSettings(keywords=("Lamp  ON", "lamp off")))
    assert (task.classes, task.input_shape, task.custom) == (CLASSES, (49, 10, 1), True)
    assert task.input_quantization == get_task("kws").input_quantization


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ([f"word {n}" for n in range(21)], "found 21, give 1 to 20"),
        (["lamp", ""], "cannot use ''"),
        (["lamp!"], "cannot use 'lamp!': a keyword is up to 40 letters"),
        (["' '"], "cannot use"),
        (["käse"], "cannot use 'käse'"),
        (["x" * 41], "up to 40 letters"),
        (["lamp", "Silence"], "'silence' is a class of its own"),
        (["lamp", "LAMP"], "'lamp' is there twice"),
    ],
)
def test_bad_keywords(keywords: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_keywords(keywords)


def test_texts_that_sound_the_same_are_known() -> None:
    """English homophones; and words that are written alike but not spoken alike."""
    sounds = pronounce(["write", "right", "two", "too", "no", "know", "bow", "low", "now"])
    assert sounds["write"] == sounds["right"]
    assert sounds["two"] & sounds["too"]
    assert sounds["no"] & sounds["know"]
    assert not sounds["low"] & sounds["now"]


def test_keywords_that_sound_the_same_are_refused(tmp_path: Path) -> None:
    task = get_task("kws", settings=TaskSettings(keywords=("right", "write")))
    with pytest.raises(InputError, match="'right' and 'write' sound the same"):
        task.load(cache_dir=tmp_path)


def test_unknown_has_what_is_easily_confused_but_no_keyword() -> None:
    assert {"lamp", "on", "on lamp"} <= set(near_texts("lamp on"))
    assert not any(keyword in near_texts(keyword) for keyword in ("lamp", "lamp on", "turn the lamp on"))
    texts = write_unknown([*LAMP, "for"], 300, np.random.default_rng(0))
    sounds = pronounce(sorted({*texts, *LAMP, "for"}))
    taken = frozenset().union(*(sounds[keyword] for keyword in (*LAMP, "for")))
    assert len(texts) == 300
    assert {"lamp", "on", "off"} <= set(texts)
    assert not {"four", "fore", *LAMP} & set(texts)
    assert not any(sounds[text] & taken for text in texts)
    assert sum(len(text.split()) > 1 for text in texts) > 60  # phrases too, or length alone would tell a keyword


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyword_speech, "CLIPS", {"train": 30, "validation": 6, "test": 8})


def load(tmp_path: Path, source: Path | None = None, **settings: str) -> DataSet:
    task = get_task("kws", source, TaskSettings(keywords=LAMP, **settings))
    assert task.training_samples(source) > 0
    return task.load(source, cache_dir=tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_without_recordings_all_is_synthesised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    (tmp_path / "kws").mkdir()  # the benchmark's words are no data for other keywords
    data = load(tmp_path)
    assert get_task("kws", settings=TaskSettings(keywords=LAMP)).training_samples(None) == len(data.train) == 150
    assert [np.bincount(split.labels).tolist() for split in (data.train, data.validation, data.test)] == [
        [30, 30, 30, 60], [6, 6, 6, 6], [8, 8, 8, 8],
    ]  # fmt: skip
    assert data.synthetic
    assert data.notes[0].startswith("SYNTHETIC DATA: the keywords are spoken by a program")
    assert "folders of wav files named lamp_on, lamp_off and unknown" in data.notes[0]
    assert data.summary()["classes"] == list(CLASSES)
    assert load(tmp_path).fingerprint == data.fingerprint


@pytest.mark.parametrize(("keywords", "clips"), [(1, 400), (2, 400), (12, 400), (13, 384), (20, 250)])
def test_many_keywords_have_fewer_clips_each(keywords: int, clips: int) -> None:
    """400 of each, but no more than 5,000 of all; with silence, and twice as many of unknown as of a keyword."""
    classes = (*(f"word {n}" for n in range(keywords)), "silence", "unknown")
    assert keyword_speech.count_training(classes, None) == clips * (keywords + 1 + 2)


@pytest.mark.usefixtures("few")
def test_a_phrase_that_a_clip_cannot_hold_is_told(tmp_path: Path) -> None:
    data = load(tmp_path, clip="300ms")
    assert data.train.features.shape[2:] == (14, 10, 1)
    warned = [note for note in data.notes if note.startswith("WARNING")]
    assert len(warned) == 2
    assert "of the clips of 'lamp on' last longer than the clip of 0.3 s and are cut; --clip" in warned[0]


@pytest.fixture
def record(tmp_path: Path, write_wav: Callable[..., None]) -> Record:
    """Recordings of both keywords and of other words; a speaker says each word twice."""

    def make(count: int, named: bool = True, noise: bool = True) -> Path:
        root = tmp_path / "mine"
        for word, name in enumerate(("lamp_on", "Lamp off", "banana", "unknown")):
            for index in range(count if word < 2 else count // 2):
                stem = f"p{index // 2}_nohash_{index % 2}" if named else f"take {index}"
                write_wav(root / name / f"{stem}.wav", 0.4, seed=1000 * word + index)
        if noise:
            write_wav(root / "_background_noise_" / "fan.wav", seconds=40)
        return root

    return make


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_few_recordings_are_trained_on_and_not_measured_on(tmp_path: Path, record: Record) -> None:
    data = load(tmp_path, record(10))
    assert np.bincount(data.train.labels).tolist() == [40, 40, 40, 70]
    silence = 10  # cut from noise, which is counted only once it has been read
    counted = get_task("kws", tmp_path / "mine", TaskSettings(keywords=LAMP)).training_samples(tmp_path / "mine")
    assert counted == len(data.train) - silence
    assert np.bincount(data.test.labels).tolist() == [8, 8, 8, 8]
    assert data.synthetic
    assert "SYNTHETIC" in data.notes[0]
    assert "30 recordings are trained on (lamp on 10, lamp off 10, unknown 10)" in data.notes[1]
    assert "validation and test are synthesised speech still:" in data.notes[1]
    assert "with 50 of each keyword and of unknown" in data.notes[1]


@pytest.mark.slow
@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("named", "by"), [(True, "speaker"), (False, "content")])
def test_enough_recordings_are_measured_on(tmp_path: Path, record: Record, named: bool, by: str) -> None:
    root = record(60, named)
    data = load(tmp_path, root)
    assert not data.synthetic
    assert data.name == "mine+espeak"
    counts = np.bincount(data.test.labels)
    assert counts[[0, 1, 3]].min() >= 10
    assert counts[2] == np.ceil(counts[:2].mean())
    assert f"are recordings only, held out by {by}; silence is cut from _background_noise_" in data.notes[0]
    found = find_recordings(root, CLASSES)
    owners = {(path.name.split("_")[0], split) for path, split in zip(found.files, found.splits, strict=True)}
    assert not named or len(owners) == 30  # speakers, each in one split


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_silence_is_generated_where_none_was_recorded(
    tmp_path: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(keyword_speech.CLIPS, "test", 30)
    data = load(tmp_path, record(100, noise=False))
    counts = np.bincount(data.test.labels)
    assert counts[2] == np.ceil(counts[:2].mean()) < 30  # all 30 would outweigh the recordings
    assert "silence is generated noise" in data.notes[0]


def test_one_speaker_is_divided_by_content(tmp_path: Path, record: Record) -> None:
    root = record(50)
    for path in sorted(root.glob("[lL]*/*.wav")):
        path.rename(path.with_name(f"me_nohash_{path.stem.replace('_nohash_', '')[1:]}.wav"))
    assert find_recordings(root, CLASSES).by == "content"


def test_unknown_recordings_are_thinned(tmp_path: Path, record: Record, write_wav: Callable[..., None]) -> None:
    root = record(10)
    for index in range(100):
        write_wav(root / "apple" / f"{index}.wav", 0.1, seed=index)
    assert find_recordings(root, CLASSES).labels.count(3) == 50


def test_a_folder_without_any_keyword(tmp_path: Path, write_wav: Callable[..., None]) -> None:
    write_wav(tmp_path / "banana" / "1.wav")
    with pytest.raises(DataError, match="found banana; expected folders of wav files named lamp_on, lamp_off"):
        find_recordings(tmp_path, CLASSES)
