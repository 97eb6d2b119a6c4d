from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nas.errors import DataError
from nas.tasks.waveform import (
    Clips,
    Samples,
    fixed_length,
    full_scale,
    joined,
    lazy_clips,
    random_windows,
    read_wav,
    selected,
    vary,
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 8000}, r"found 8000 Hz and 1 channel\(s\), expected 16000 Hz mono; convert with: sox"),
        ({"channels": 2}, r"found 16000 Hz and 2 channel"),
        ({"seconds": 0}, r"holds no samples"),
    ],
)
def test_unfit_file(tmp_path: Path, write_wav: Callable[..., None], options: dict[str, int], message: str) -> None:
    path = tmp_path / "clip.wav"
    write_wav(path, **options)
    with pytest.raises(DataError, match=message) as caught:
        read_wav(path)
    assert str(caught.value).startswith(str(path))


def test_the_lowest_sample_is_full_scale() -> None:
    found = full_scale(np.array([-32768, 0, 16384], np.int16))
    assert found.dtype == np.float32
    assert found.tolist() == [-1.0, 0.0, 0.5]


def test_clips_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    """In their order, whether they are files or samples that are there already."""
    read: list[Path] = []

    def note(path: Path) -> np.ndarray:
        read.append(path)
        return np.full(3, int(path.name), np.int16)

    clips = lazy_clips([tmp_path / "1", np.full(2, 7, np.int16), tmp_path / "5"], np.array([0, 1, 0]), note)
    assert read == []
    assert [clip.tolist() for clip in clips.read(1, 3)] == [[7, 7], [5, 5, 5]]
    assert read == [tmp_path / "5"]
    assert clips.labels.tolist() == [0, 1, 0]


def test_corrupt_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(b"RIFF no wave at all")
    with pytest.raises(DataError, match=r"clip.wav: not a readable wav file"):
        read_wav(path)


def test_clips_are_fitted_to_a_second() -> None:
    short, long = np.array([1, 2], np.int16), np.arange(20_000, dtype=np.int16)
    fitted = fixed_length([short, long])
    assert fitted.shape == (2, 16_000)
    assert fitted[0].tolist()[:3] == [1, 2, 0]
    np.testing.assert_array_equal(fitted[1], long[:16_000])


def test_vary_shifts_by_at_most_100_ms() -> None:
    audio = np.zeros((400, 16_000), np.float32)
    audio[:, 8000] = 1
    positions = vary(audio, [], np.random.default_rng(0)).argmax(axis=1) - 8000
    assert -1600 <= positions.min() < -1400
    assert 1400 < positions.max() <= 1600


def test_vary_mixes_noise_into_four_of_five_clips() -> None:
    silence, noise = np.zeros((2000, 16_000), np.float32), [np.ones(16_000, np.float32)]
    volume = vary(silence, noise, np.random.default_rng(0)).max(axis=1)
    assert 0.77 < (volume > 0).mean() < 0.83
    assert 0.09 < volume.max() <= 0.1


def test_groups_stay_apart_when_clips_are_joined(tmp_path: Path) -> None:
    """Speakers of the files, windows of recordings by sixteens, clips of no group one by one."""

    def read(path: Path) -> Samples:
        return np.zeros(1, np.int16)

    files = [tmp_path / name for name in ("a_nohash_0.wav", "b_nohash_0.wav", "a_nohash_1.wav", "odd.wav")]
    spoken = lazy_clips(files, np.arange(4), read)
    windows = lazy_clips([np.zeros(1, np.int16)] * 20, np.arange(20), read)
    alone = Clips(np.arange(2), lambda start, stop: [])
    assert [len(set(clips.numbered_groups.tolist())) for clips in (spoken, windows, alone)] == [3, 2, 2]
    groups = joined([spoken, windows, alone]).numbered_groups
    assert groups[0] == groups[2]
    assert len(set(groups.tolist())) == 3 + 2 + 2
    assert selected(spoken, np.array([2, 0, 1])).numbered_groups.tolist() == [0, 0, 1]


def test_windows_lie_within_one_recording() -> None:
    recordings = [np.full(16_000 + extra, index, np.float32) for index, extra in enumerate((0, 3, 50))]
    windows = random_windows(recordings, 500, np.random.default_rng(0))
    assert (windows == windows[:, :1]).all()
    assert set(windows[:, 0]) == {0, 1, 2}
