from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nas.errors import DataError
from nas.tasks import feature_cache, get_task
from nas.tasks.base import DataSet
from nas.tasks.mfcc import mfcc, normalize
from nas.tasks.waveform import fixed_length, read_wav


@pytest.fixture
def load(folder: Path, tmp_path: Path) -> Callable[[], tuple[DataSet, list[str]]]:
    """Load the tiny folder; also gives the stages of work that were reported."""

    def load_folder() -> tuple[DataSet, list[str]]:
        stages: list[str] = []
        data = get_task("kws").load(
            folder, cache_dir=tmp_path / "cache", progress=lambda stage, done, total: stages.append(stage)
        )
        return data, stages

    return load_folder


def test_entry_holds_the_features_of_the_clips(load: Callable[..., tuple[DataSet, list[str]]], folder: Path) -> None:
    data, _ = load()
    clip = fixed_length([read_wav(folder / "bed" / "3_nohash_0.wav")])  # first by name
    np.testing.assert_allclose(data.validation.features[0], mfcc(normalize(clip))[0], atol=1e-4)
    assert data.validation.features.dtype == np.float32
    assert data.train.features.shape == (8, len(data.train), 49, 10, 1)
    assert not np.array_equal(data.train.features[0], data.train.features[1])
    assert data.summary()["train"] == len(data.train.labels)


def test_clips_of_one_speaker_belong_together(load: Callable[..., tuple[DataSet, list[str]]], folder: Path) -> None:
    """As the names of the files tell, before and after the entry is written; so do windows of a recording."""
    data, _ = load()
    lists = [(folder / f"{split}_list.txt").read_text() for split in ("validation", "testing")]
    listed = {*" ".join(lists).split()}
    names = sorted(str(path.relative_to(folder)) for path in folder.glob("[!_]*/*.wav"))
    speakers = [Path(name).stem.partition("_nohash_")[0] for name in names if name not in listed]
    for groups in (data.train.groups, load()[0].train.groups):
        assert groups is not None
        assert len(groups) == len(data.train)
        spoken, windows = groups[: len(speakers)].tolist(), groups[len(speakers) :].tolist()
        assert len(set(spoken)) == len(set(speakers)) == len(set(zip(spoken, speakers, strict=True)))
        assert not set(windows) & set(spoken)


def test_second_load_reads_the_entry(load: Callable[..., tuple[DataSet, list[str]]]) -> None:
    first, worked = load()
    second, idle = load()
    assert worked == ["validation features", "test features", "train features"]
    assert idle == []
    assert first.summary() == second.summary()
    np.testing.assert_array_equal(first.train.features, second.train.features)


def test_changed_file_makes_a_new_entry(
    load: Callable[..., tuple[DataSet, list[str]]], folder: Path, write_wav: Callable[..., None]
) -> None:
    before, _ = load()
    write_wav(folder / "down" / "0_nohash_0.wav", seed=99)
    after, worked = load()
    assert worked
    assert before.fingerprint != after.fingerprint


def test_fingerprint_does_not_depend_on_file_times(
    load: Callable[..., tuple[DataSet, list[str]]], folder: Path
) -> None:
    before, _ = load()
    os.utime(folder / "down" / "0_nohash_0.wav", (1, 1))
    after, worked = load()
    assert worked  # contents are not read to find the entry, so it cannot know
    assert before.fingerprint == after.fingerprint
    np.testing.assert_array_equal(before.train.features, after.train.features)


def test_failure_leaves_no_entry(load: Callable[..., tuple[DataSet, list[str]]], folder: Path, tmp_path: Path) -> None:
    (folder / "yes" / "0_nohash_0.wav").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"0_nohash_0\.wav"):
        load()
    assert list((tmp_path / "cache").iterdir()) == []


def test_remains_of_a_killed_process_are_ignored_and_removed_when_old(
    load: Callable[..., tuple[DataSet, list[str]]], tmp_path: Path
) -> None:
    load()
    (entry,) = (tmp_path / "cache").iterdir()
    (entry / feature_cache.META).unlink()
    entry.rename(tmp_path / "cache" / f"{entry.name}.old")
    os.utime(tmp_path / "cache" / f"{entry.name}.old", (1, 1))
    _, worked = load()
    assert worked
    assert list((tmp_path / "cache").iterdir()) == [entry]


def test_unwritable_cache(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    with pytest.raises(DataError, match="cannot write the feature cache"):
        get_task("kws").load(folder, cache_dir=tmp_path / "cache")


def test_long_clips_are_noted(
    load: Callable[..., tuple[DataSet, list[str]]], folder: Path, write_wav: Callable[..., None]
) -> None:
    write_wav(folder / "up" / "long.wav", seconds=1.5)
    data, _ = load()
    assert data.notes[-1] == "1 clips last longer than a second; only their first second is used"
