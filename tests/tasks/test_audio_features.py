from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas.errors import InputError
from nas.tasks import TaskSettings, get_task
from nas.tasks.audio_features import feature_settings
from nas.tasks.mfcc import BENCHMARK, FeatureSettings, mfcc

OTHER = FeatureSettings(clip_samples=24_000, frame_samples=640, step_samples=400, mel_bins=32, coefficients=13)


def test_the_defaults_are_the_benchmarks() -> None:
    assert feature_settings(TaskSettings()) == BENCHMARK
    assert BENCHMARK.shape == (49, 10, 1)
    assert BENCHMARK.fft_points == 512


def test_flags_set_the_shape() -> None:
    asked = TaskSettings(clip="1.5s", window="40ms", hop="25ms", mels=32, coefficients=13)
    assert feature_settings(asked) == OTHER
    assert OTHER.shape == (59, 13, 1)  # 1 + (1500 - 40) // 25
    assert FeatureSettings(coefficients=0).shape == (49, 40, 1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (TaskSettings(clip="1 hour"), "cannot read the --clip '1 hour'"),
        (TaskSettings(clip="11s"), "a clip may last from 100 ms to 10 s"),
        (TaskSettings(hop="0.01ms"), "less than one sample"),
        (TaskSettings(clip="200ms", window="300ms"), "holds 0 windows of 300 ms"),
        (TaskSettings(clip="10s", hop="5ms"), "networks take from 8 to 1,000"),
        (TaskSettings(coefficients=41), "--coefficients 41: give from 1 to the 40 of --mels, or 0"),
        (TaskSettings(mels=7, coefficients=0), "--mels 7: give at least 8"),
        (TaskSettings(mels=200), "--mels 200: .* a window of 30 ms fills at most"),
    ],
)
def test_bad_settings(asked: TaskSettings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        feature_settings(asked)


def test_the_most_mel_bins_that_are_named_work() -> None:
    with pytest.raises(InputError) as caught:
        feature_settings(TaskSettings(mels=200, window="60ms"))
    most = int(str(caught.value).split()[-1])
    assert feature_settings(TaskSettings(mels=most, window="60ms")).mel_bins == most > 40


def test_the_benchmarks_task_keeps_its_features() -> None:
    with pytest.raises(InputError, match="--clip is nothing that the task kws has"):
        get_task("kws", settings=TaskSettings(clip="2s"))


@pytest.mark.slow
def test_other_settings_equal_tensorflows(tmp_path: Path) -> None:
    """Mel filters and DCT by ``tf.signal``, in a process of its own."""
    audio = np.random.default_rng(0).uniform(-1, 1, (3, 24_000)).astype(np.float32)
    np.save(tmp_path / "audio.npy", audio)
    code = """
import sys, numpy as np, tensorflow as tf
audio = np.load(sys.argv[1])
spectrum = tf.abs(tf.signal.stft(audio, 640, 400, 1024))
mel = tf.tensordot(spectrum, tf.signal.linear_to_mel_weight_matrix(32, 513, 16000, 20.0, 4000.0), 1)
logs = tf.math.log(mel + 1e-6)
np.savez(sys.argv[2], logs=logs, mfcc=tf.signal.mfccs_from_log_mel_spectrograms(logs)[..., :13])
"""
    words = [sys.executable, "-c", code, str(tmp_path / "audio.npy"), str(tmp_path / "truth.npz")]
    subprocess.run(words, check=True, capture_output=True)
    truth = np.load(tmp_path / "truth.npz")
    log_mel = FeatureSettings(24_000, 640, 400, 32, 0)
    np.testing.assert_allclose(mfcc(audio, OTHER)[..., 0], truth["mfcc"], atol=1e-3)
    np.testing.assert_allclose(mfcc(audio, log_mel)[..., 0], truth["logs"], atol=1e-3)
