from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import DataError
from nas.tasks.speech_commands import (
    CLASSES,
    KEYWORDS,
    SILENCE,
    UNKNOWN,
    cut_windows,
    label_of,
    read_audio,
    share_recordings,
    take_inventory,
    thin_unknown,
)

# Samples of the six recordings of the official archive (speech_commands_v0.02).
OFFICIAL_RECORDINGS = {
    "doing_the_dishes.wav": 1_522_930,
    "dude_miaowing.wav": 988_891,
    "exercise_bike.wav": 980_062,
    "pink_noise.wav": 960_000,
    "running_tap.wav": 978_488,
    "white_noise.wav": 960_000,
}
SPLITS = ("train", "validation", "test")


def test_classes_are_in_the_order_of_the_benchmark() -> None:
    assert ", ".join(CLASSES) == "down, go, left, no, off, on, right, stop, up, yes, silence, unknown"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("down/a.wav", 0),
        ("yes/a.wav", 9),
        ("_silence_/1.wav", 10),
        ("_unknown_/1.wav", 11),
        ("bed/a.wav", 11),
    ],
)
def test_label_of(name: str, label: int) -> None:
    assert label_of(name) == label


def test_only_wav_files_are_clips(folder: Path) -> None:
    before = take_inventory(folder)
    (folder / "yes" / "notes.txt").write_text("no clip")
    (folder / "yes" / "old.wav").mkdir()
    (folder / ".hidden").mkdir()
    (folder / "yes" / "a.WAV").write_bytes((folder / next(iter(before.clips["train"]))).read_bytes())
    after = take_inventory(folder)
    assert set(after.clips["train"]) - set(before.clips["train"]) == {"yes/a.WAV"}
    assert (after.clips["test"], after.recordings) == (before.clips["test"], before.recordings)


def test_lists_decide_the_split(folder: Path) -> None:
    clips = take_inventory(folder).clips
    assert {split: len(names) for split, names in clips.items()} == {
        "train": 36,
        "validation": 12,
        "test": 24,
    }
    assert "go/3_nohash_0.wav" in clips["validation"]
    assert not set(clips["train"]) & {*clips["validation"], *clips["test"]}


def test_every_split_has_all_classes(folder: Path) -> None:
    audio = read_audio(take_inventory(folder))
    for clips in (audio.train, audio.validation, audio.test):
        assert set(clips.labels) == set(range(12))
        assert len(clips.read(0, 999)) == len(clips.labels)
    assert not audio.synthetic
    assert any("silence clips cut" in note for note in audio.notes)


def test_own_silence_clips_replace_windows(folder: Path, write_wav: Callable[..., None]) -> None:
    for name, file in (("v", "validation_list.txt"), ("t", "testing_list.txt"), ("train", None)):
        write_wav(folder / "_silence_" / f"{name}.wav")
        if file:
            with (folder / file).open("a") as lines:
                lines.write(f"_silence_/{name}.wav\n")
    audio = read_audio(take_inventory(folder))
    assert [int((clips.labels == SILENCE).sum()) for clips in (audio.train, audio.validation, audio.test)] == [1] * 3
    assert audio.notes == ()
    assert [len(noise) for noise in audio.noise] == [
        80_000,
        160_000,
    ]  # nothing is held back from augmentation


def test_windows_of_the_official_recordings_are_those_of_the_benchmark() -> None:
    recordings = {file: np.zeros(length, np.int16) for file, length in OFFICIAL_RECORDINGS.items()}
    shares = share_recordings(recordings, ["train", "validation"])
    counts = {split: len(cut_windows(shares[split])) for split in SPLITS}
    assert counts == {"train": 668, "validation": 121, "test": 0}


@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=4),
    needy=st.sets(st.sampled_from(SPLITS)),
    tap=st.booleans(),
)
def test_no_sample_of_a_recording_serves_two_splits(lengths: list[int], needy: set[str], tap: bool) -> None:
    files = [*(f"{index}.wav" for index in range(len(lengths) - 1)), "running_tap.wav" if tap else "z.wav"]
    ids = np.split(np.arange(sum(lengths), dtype=np.int16), np.cumsum(lengths)[:-1])
    shares = share_recordings(dict(zip(files, ids, strict=True)), sorted(needy))
    shared = [int(sample) for split in SPLITS for stretch in shares[split] for sample in stretch]
    assert sorted(shared) == list(range(sum(lengths)))
    for split in {"validation", "test"} - needy:
        assert not shares[split]


def test_unknown_is_thinned_only_when_it_outnumbers_keywords_twice() -> None:
    keywords = [f"{word}/{index}.wav" for word in KEYWORDS for index in range(5)]
    few, many = ([f"bed/{index}.wav" for index in range(count)] for count in (10, 11))
    assert thin_unknown([*keywords, *few]) == ((*keywords, *few), 0)
    kept, dropped = thin_unknown([*keywords, *many])
    assert dropped == 6
    assert sum(label_of(name) == UNKNOWN for name in kept) == 5
    assert set(thin_unknown([*reversed(many), *keywords])[0]) == set(kept)


def test_thinning_is_noted(folder: Path, write_wav: Callable[..., None]) -> None:
    names = [f"dog/{index}.wav" for index in range(5)]
    for name in names:
        write_wav(folder / name)
    with (folder / "testing_list.txt").open("a") as lines:
        lines.write("\n".join(names) + "\n")
    audio = read_audio(take_inventory(folder))
    assert (audio.test.labels == UNKNOWN).sum() == 2
    assert audio.notes[0].startswith("test: 7 unknown clips left out")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "testing_list.txt").unlink(), r"testing_list.txt is missing"),
        (lambda root: (root / "testing_list.txt").write_text(""), r"names no clip"),
        (lambda root: (root / "up" / "5_nohash_0.wav").unlink(), r"1 of 24 clips .* up/5_nohash_0.wav"),
        (lambda root: _copy(root / "testing_list.txt", root / "validation_list.txt"), r"are on both"),
        (lambda root: _empty(root / "_background_noise_"), r"validation has no _silence_ clips"),
        (
            lambda root: [(root / "go" / f"{i}_nohash_0.wav").unlink() for i in range(3)],
            r"no training clip of 'go'",
        ),
        (lambda root: root.rename(root.parent / "inner"), r"the data set seems to be in .*inner"),
    ],
)
def test_damaged_folder(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    root = folder if folder.exists() else folder.parent
    with pytest.raises(DataError, match=message) as caught:
        take_inventory(root)
    assert str(root) in str(caught.value)


def test_other_folders_are_told_apart(tmp_path: Path, write_wav: Callable[..., None]) -> None:
    with pytest.raises(DataError, match="found no folder of wav files; expected folders named after words"):
        take_inventory(tmp_path)
    write_wav(tmp_path / "engine" / "1.wav")
    with pytest.raises(DataError, match="found folders of wav files: engine; expected"):
        take_inventory(tmp_path)


def test_recordings_must_last(make_folder: Callable[..., Path]) -> None:
    root = make_folder({"hum.wav": 4})
    with pytest.raises(DataError, match="too short for validation silence"):
        read_audio(take_inventory(root))


def _copy(source: Path, target: Path) -> None:
    target.write_text(source.read_text())


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
