from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nas.errors import DataError, InputError
from nas.tasks import TaskSettings, get_task
from nas.tasks.audio_folders import find_classes, read_folder

Make = Callable[..., Path]


@pytest.fixture
def sounds(tmp_path: Path, write_wav: Callable[..., None]) -> Make:
    """Twelve different recordings of each of two classes, of several rates and lengths."""

    def make(root: str = "sounds", count: int = 12, classes: tuple[str, ...] = ("Dog", "glass"), seed: int = 0) -> Path:
        for label, name in enumerate(classes):
            for index in range(count):
                path = tmp_path / root / name / f"{index}.wav"
                options = {"seconds": 0.5 + 0.2 * (index % 4), "rate": (8000, 44_100)[index % 2], "channels": 1 + label}
                write_wav(path, seed=seed + 1000 * label + index, **options)
        return tmp_path / root

    return make


def test_folders_are_classes_of_which_a_tenth_is_held_out(sounds: Make) -> None:
    folder = read_folder(sounds())
    assert folder.classes == ("Dog", "glass")
    assert Counter(zip(folder.splits, folder.labels, strict=True)) == {
        (split, label): count for split, count in (("train", 10), ("validation", 1), ("test", 1)) for label in (0, 1)
    }
    assert folder.notes == ("validation and test: 10% of each class, at least one recording, held out by content",)


def test_copies_of_a_recording_stay_in_one_split(sounds: Make) -> None:
    root = sounds()
    for path in sorted((root / "Dog").iterdir()):
        shutil.copy(path, path.with_name(f"copy {path.name}"))
    folder = read_folder(root)
    owner = dict(zip((f"{path.parent.name} {path.name}" for path in folder.files), folder.splits, strict=True))
    assert all(owner[f"Dog {index}.wav"] == owner[f"Dog copy {index}.wav"] for index in range(12))


def test_speakers_are_kept_apart_where_names_tell_them(sounds: Make) -> None:
    root = sounds()
    for path in sorted(root.rglob("*.wav")):
        path.rename(path.with_name(f"speaker{int(path.stem) // 2}_nohash_{path.stem}.wav"))
    folder = read_folder(root)
    owners = {(path.name.split("_")[0], split) for path, split in zip(folder.files, folder.splits, strict=True)}
    assert len(owners) == 6
    assert "held out by speaker" in folder.notes[0]


def test_split_folders_are_taken_as_they_are(sounds: Make) -> None:
    for seed, part in enumerate(("train", "val", "test")):
        root = sounds(f"all/{part}", count=3 + seed, seed=50 * seed).parent
    folder = read_folder(root)
    assert [folder.count(split) for split in ("train", "validation", "test")] == [6, 8, 10]
    assert all(path.parts[-3][:3] == split[:3] for path, split in zip(folder.files, folder.splits, strict=True))
    shutil.rmtree(root / "val")
    folder = read_folder(root)
    assert [folder.count(split) for split in ("train", "validation", "test")] == [4, 2, 10]


def test_a_class_may_be_called_train(sounds: Make) -> None:
    assert find_classes(sounds(classes=("train", "test"))) == ("test", "train")


def test_features_follow_the_settings(sounds: Make, tmp_path: Path, write_wav: Callable[..., None]) -> None:
    root = sounds()
    write_wav(root / "_background_noise_" / "fan.wav", seconds=3, rate=44_100)
    write_wav(root / "_background_noise_" / "short.wav", seconds=0.2)
    settings = TaskSettings(clip="0.8s", mels=20, coefficients=0)
    task = get_task("audio", root, settings)
    assert (task.classes, task.input_shape, task.custom, task.spaces) == (("Dog", "glass"), (39, 20, 1), True, ("kws",))
    assert task.input_quantization is None
    assert task.training_samples(root) == 20
    data = task.load(root, cache_dir=tmp_path / "cache")
    assert data.train.features.shape == (8, 20, 39, 20, 1)
    assert np.isfinite(data.test.features).all()
    assert (data.name, data.synthetic, data.summary()["classes"]) == ("sounds", False, ["Dog", "glass"])
    assert "12 of 24 recordings last longer than the clip of 0.8 s" in data.notes[1]
    assert "1 recordings in _background_noise_ are shorter than a clip" in data.notes[2]


def test_the_benchmarks_features_have_the_benchmarks_grid(sounds: Make) -> None:
    assert get_task("audio", sounds()).input_quantization == get_task("kws").input_quantization


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: shutil.rmtree(root / "Dog"), "no classes of sounds to tell apart, found glass; give a folder"),
        (lambda root: [path.unlink() for path in (root / "Dog").iterdir()], "Dog holds no wav files; fill it"),
        (lambda root: [path.unlink() for path in root.glob("Dog/[1-9]*")], "class 'Dog' has too few different"),
    ],
)
def test_bad_folders(sounds: Make, spoil: Callable[[Path], object], message: str) -> None:
    root = sounds()
    spoil(root)
    with pytest.raises(DataError, match=message):
        read_folder(root)


def test_splits_must_have_the_same_classes(sounds: Make) -> None:
    sounds("all/train")
    root = sounds("all/test", classes=("Dog", "cat")).parent
    with pytest.raises(DataError, match="test: classes Dog, cat, but those of training are Dog, glass"):
        read_folder(root)


def test_a_split_of_another_name_is_not_overlooked(sounds: Make) -> None:
    sounds("all/train")
    root = sounds("all/validation").parent
    with pytest.raises(DataError, match="found validation beside train, where only val, test and _background"):
        read_folder(root)


def test_other_data_must_have_the_classes_of_the_task(sounds: Make) -> None:
    task = get_task("audio", sounds())
    with pytest.raises(DataError, match="classes bell, cat, expected Dog, glass"):
        task.load(sounds("other", classes=("bell", "cat")))


@pytest.mark.parametrize("source", [None, "builtin"])
def test_sounds_need_data(source: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NAS_DATA", raising=False)
    with pytest.raises(InputError, match="the task audio needs --data DIR: give a folder that holds one folder of wav"):
        get_task("audio", source)
