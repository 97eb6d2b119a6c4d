from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import get_window

from nas.tasks.kws import REFERENCE_INPUT
from nas.tasks.mfcc import BENCHMARK, FeatureSettings, _tables, dct_matrix, mel_filters, mfcc, normalize


def test_equals_the_official_features(shared_data: Path) -> None:
    official = np.load(shared_data / "mlperf_tiny" / "kws01-open" / "samples.npz")
    audio, rate = soundfile.read(io.BytesIO(official["flac"].tobytes()), dtype="int16")
    features = mfcc(normalize(audio.reshape(200, 16_000)))
    ours = REFERENCE_INPUT.quantize(features).reshape(200, 490).astype(int)
    difference = np.abs(ours - official["mfcc"])
    assert rate == 16_000
    assert (difference == 0).mean() >= 0.997  # the rest lies on the edge between two steps
    assert difference.max() <= 1


def sweep() -> np.ndarray:
    """One second from 40 Hz to 5 kHz with a hum and noise, an eighth of it digital silence."""
    rng, t = np.random.default_rng(7), np.arange(16_000) / 16_000
    sound = np.sin(2 * np.pi * (40 * t + 2_500 * t**2)) + 0.3 * np.sin(2 * np.pi * 440 * t)
    sound += 0.05 * rng.standard_normal(len(t))
    sound[9_000:11_000] = 0
    return np.round(9_000 * sound).astype(np.int16)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("benchmark", BENCHMARK),
        ("bins", FeatureSettings(frame_samples=640, step_samples=256, mel_bins=24, coefficients=0)),
    ],
)
def test_it_is_what_tensorflow_computes(name: str, settings: FeatureSettings) -> None:
    """By TensorFlow 2.19 as the benchmark calls it: ``abs(stft(x / max(x), frame, step, window_fn=hann_window))``,
    ``linear_to_mel_weight_matrix(bins, ..., 16000, 20.0, 4000.0)``, ``log(mel + 1e-6)``, and the first ten of
    ``mfccs_from_log_mel_spectrograms``, or the logarithms themselves.
    """
    truth = np.load(Path(__file__).with_name("mfcc_tensorflow.npz"))[name]
    found = mfcc(normalize(sweep()[None]), settings)
    assert found.shape == (1, *settings.shape) == (1, *truth.shape, 1)
    np.testing.assert_allclose(found[0, ..., 0], truth, atol=2e-4)


@pytest.mark.parametrize(("frame", "points"), [(1, 1), (480, 512), (512, 512), (513, 1024), (640, 1024)])
def test_spectra_have_the_next_power_of_two_of_points(frame: int, points: int) -> None:
    assert FeatureSettings(frame_samples=frame).fft_points == points


def test_a_clip_does_not_depend_on_its_batch() -> None:
    clips = np.random.default_rng(0).integers(-3000, 3000, (130, 16_000)).astype(np.int16)
    together = mfcc(normalize(clips))
    assert together.shape == (130, 49, 10, 1)
    assert together.dtype == np.float32
    np.testing.assert_allclose(mfcc(normalize(clips[129:])), together[129:], atol=2e-4)


def test_normalize_divides_by_the_largest_sample_not_the_largest_magnitude() -> None:
    clips = np.array([[100, -400, 50], [0, 0, 0], [-100, -3, -2]], np.int16)
    expected = np.array([[1, -4, 0.5], [0, 0, 0], [-100 / 32768, -3 / 32768, -2 / 32768]], np.float32)
    np.testing.assert_array_equal(normalize(clips), expected)


def test_silence_has_finite_features() -> None:
    features = mfcc(normalize(np.zeros((1, 16_000), np.int16)))
    level = np.log(1e-6) * 2 * 40 / np.sqrt(80)  # forty equal bins, seen by the constant row of the DCT
    np.testing.assert_allclose(features[0, :, 0, 0], level, rtol=1e-5)
    np.testing.assert_allclose(features[0, :, 1:, 0], 0, atol=1e-4)


def test_mel_filters_cover_20_to_4000_hertz() -> None:
    filters = mel_filters()
    hertz = np.flatnonzero(filters.any(axis=1)) * 16_000 / 512
    assert filters.shape == (257, 40)
    assert hertz.min() == 31.25
    assert hertz.max() == 3968.75
    assert filters.max() <= 1


def test_dct_rows_are_orthogonal() -> None:
    product = dct_matrix().T @ dct_matrix()
    np.testing.assert_allclose(product, np.diag([2.0, *[1.0] * 9]), atol=1e-12)


@pytest.mark.parametrize("hertz", [312.5, 1500.0])
def test_a_tone_lights_its_mel_bin(hertz: float) -> None:
    low, tone, high = 1127 * np.log(1 + np.array([20, hertz, 4000]) / 700)
    nearest = round(41 * (tone - low) / (high - low)) - 1
    assert mel_filters()[round(hertz * 512 / 16_000)].argmax() == nearest


def test_the_window_is_periodic_as_that_of_the_benchmark() -> None:
    """``tf.signal.hann_window``; the symmetric one, which ends with zero as well, changes every feature a little."""
    window = _tables(BENCHMARK)[0].numpy()
    np.testing.assert_allclose(window, get_window("hann", BENCHMARK.frame_samples, fftbins=True), atol=1e-7)
    assert window[-1] > 0
