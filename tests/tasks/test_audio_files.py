from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import DataError
from nas.tasks.audio_files import content_hashes, count_longer, fit, read_recording, resample
from nas.tasks.waveform import read_wav


@given(rate=st.sampled_from([8_000, 11_025, 22_050, 32_000, 44_100, 48_000]), hertz=st.integers(100, 3_500))
def test_a_resampled_tone_keeps_its_frequency_and_level(rate: int, hertz: int) -> None:
    audio = resample(np.sin(2 * np.pi * hertz * np.arange(rate) / rate).astype(np.float32), rate)
    truth = np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)
    assert audio.shape == (16_000,)
    np.testing.assert_allclose(audio[800:-800], truth[800:-800], atol=2e-3)


def test_tones_above_8_khz_do_not_fold_back() -> None:
    audio = resample(np.sin(2 * np.pi * 12_000 * np.arange(48_000) / 48_000).astype(np.float32), 48_000)
    assert np.abs(audio).max() < 1e-3


@pytest.mark.parametrize("count", [1, 7, 999, 44_101])
def test_the_length_is_that_of_the_new_rate(count: int) -> None:
    assert len(resample(np.zeros(count, np.float32), 44_100)) == -(-count * 160 // 441)


def test_a_file_of_the_benchmarks_kind_is_read_to_the_bit(tmp_path: Path, write_wav: Callable[..., None]) -> None:
    path = tmp_path / "clip.wav"
    write_wav(path)
    np.testing.assert_array_equal(fit(read_recording(path), 16_000), read_wav(path))


def test_channels_are_averaged_and_loud_floats_scaled_down(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.tile([[4.0, 0.0], [-1.0, 0.0]], (400, 1)), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read_recording(path)[:2], [1.0, -0.25])


@pytest.mark.parametrize("samples", [[], [0.0, float("nan")]])
def test_files_without_sound(tmp_path: Path, samples: list[float]) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.array(samples, np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"clip\.wav: holds no samples, or such as are no numbers"):
        read_recording(path)


def test_broken_file(tmp_path: Path) -> None:
    (tmp_path / "clip.wav").write_bytes(b"RIFF no wave at all")
    with pytest.raises(DataError, match=r"clip\.wav: not a readable wav file"):
        read_recording(tmp_path / "clip.wav")


def test_a_longer_recording_gives_its_loudest_part_a_shorter_one_is_centred() -> None:
    long = np.zeros(5_000, np.float32)
    long[3_000:3_100] = 0.5
    assert np.count_nonzero(fit(long, 100)) == 100
    assert fit(np.ones(2, np.float32) / 2, 6).tolist() == [0, 0, 16_384, 16_384, 0, 0]


def test_longer_files_are_counted_by_their_headers(tmp_path: Path, write_wav: Callable[..., None]) -> None:
    write_wav(tmp_path / "long.wav", seconds=1.1, rate=44_100)
    write_wav(tmp_path / "whole.wav", seconds=1.0, rate=44_100)
    (tmp_path / "broken.wav").touch()
    assert count_longer(sorted(tmp_path.iterdir()), 16_000) == 1


def test_copies_have_one_hash(tmp_path: Path, write_wav: Callable[..., None]) -> None:
    paths = [tmp_path / name for name in ("a.wav", "b.wav", "c.wav")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        write_wav(path, seconds=0.1, seed=seed)
    hashes = content_hashes(paths)
    assert hashes[paths[0]] == hashes[paths[1]] != hashes[paths[2]]
