from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.errors import DataError
from nas.tasks import builtin_speech, espeak, get_task
from nas.tasks.base import DataSet
from nas.tasks.builtin_speech import BUILTIN_NOTICE, SEED, generate
from nas.tasks.espeak import share_voices, voice_names

pytestmark = pytest.mark.slow  # all of the builtin speech is made

pytest.importorskip("espeakng_loader")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def data(cache: Path) -> DataSet:
    return get_task("kws").load("builtin", cache_dir=cache)


def test_every_class_is_there_in_every_split(data: DataSet) -> None:
    for split, count in ((data.train, 150), (data.validation, 40), (data.test, 60)):
        assert np.bincount(split.labels).tolist() == [count] * 12
    assert get_task("kws").training_samples("builtin") == len(data.train)


def test_it_says_that_it_is_synthetic(data: DataSet) -> None:
    assert data.synthetic
    assert data.summary()["synthetic"] is True
    assert data.name == "builtin-espeak"
    assert BUILTIN_NOTICE in data.notes
    assert BUILTIN_NOTICE.startswith("SYNTHETIC DATA")


def test_it_is_made_once(data: DataSet, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(builtin_speech, "generate")
    assert get_task("kws").load("builtin", cache_dir=cache).fingerprint == data.fingerprint


def test_it_is_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin_speech, "CLIPS_PER_CLASS", {"train": 2, "validation": 1, "test": 1})
    first, second = (generate() for _ in range(2))
    for split in ("train", "validation", "test"):
        a, b = (getattr(audio, split).read(0, 99) for audio in (first, second))
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(first.noise[-1], second.noise[-1])


def test_splits_share_no_voice() -> None:
    shares = share_voices(voice_names(), np.random.default_rng(SEED))
    families = [{name.lower().rstrip("0123456789") or name for name in names} for names in shares.values()]
    together = [name for names in shares.values() for name in names]
    assert len(together) == len(set(together)) == len(voice_names())
    assert all(len(names) >= 8 for names in shares.values())
    assert set.intersection(*families) <= {"f", "m"}  # numbered, but different people


def test_a_class_can_be_told_by_its_features(data: DataSet) -> None:
    """Nearest class mean: poor, but far above chance if labels belong to their clips."""
    flat = data.train.features[0].reshape(len(data.train), -1).astype(np.float32)
    means = np.stack([flat[data.train.labels == label].mean(0) for label in range(12)])
    test = data.test.features.reshape(len(data.test), -1)
    nearest = ((test[:, None] - means) ** 2).sum(-1).argmin(1)
    assert (nearest == data.test.labels).mean() > 0.2  # chance is 0.083


def test_missing_package_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "espeakng_loader":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match=r'pip install "mcu-nas\[speech\]"'):
        get_task("kws").load("builtin")


def test_failure_of_espeak_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "ACCENTS", ("klingon-never",))
    with pytest.raises(DataError, match="espeak-ng failed: espeak-ng has no voice"):
        generate()
