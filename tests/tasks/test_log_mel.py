from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.tasks.log_mel import BANDS, FRAMES, SAMPLE_RATE_HZ, STOP, log_mel


def sweep() -> np.ndarray:
    """Ten seconds from 60 Hz to 7 kHz with a hum and noise, one of them digital silence."""
    rng, t = np.random.default_rng(7), np.arange(160_000) / SAMPLE_RATE_HZ
    sound = 0.3 * np.sin(2 * np.pi * (60 * t + 350 * t**2)) + 0.05 * np.sin(2 * np.pi * 440 * t)
    sound += 0.02 * rng.standard_normal(len(t))
    sound[64_000:80_000] = 0
    return np.round(20_000 * sound).astype(np.int16)


def test_it_is_what_librosa_computes() -> None:
    """Every eighth frame, by librosa 0.11.0 as the benchmark calls it: ``melspectrogram(y=y, sr=16000, n_fft=1024,
    hop_length=512, n_mels=128, power=2.0)``, ``20.0 / 2.0 * log10(mel + sys.float_info.epsilon)``, frames 50 to 249.
    """
    truth = np.load(Path(__file__).with_name("log_mel_librosa.npz"))["frames"]
    found = log_mel(sweep())
    assert (found.shape, found.dtype) == ((FRAMES, BANDS), np.float32)
    np.testing.assert_allclose(found[::8], truth, atol=1e-4)


def test_only_the_frames_that_count_are_looked_at() -> None:
    sound = sweep()
    np.testing.assert_array_equal(log_mel(sound[:STOP]), log_mel(sound))


def test_full_scale_of_integers_is_one() -> None:
    sound = sweep()
    np.testing.assert_array_equal(log_mel(sound / 32_768), log_mel(sound))
