"""MFCC and log-mel features of clips; by default as the MLPerf Tiny keyword-spotting benchmark computes them.

Source of every constant: mlcommons/tiny, benchmark/training/keyword_spotting (get_dataset.py, kws_util.py).
The mel filters are TensorFlow's ``linear_to_mel_weight_matrix``, the DCT that of its
``mfccs_from_log_mel_spectrograms``.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

SAMPLE_RATE_HZ = 16_000
CLIP_SAMPLES = 16_000  # one second
MEL_LOW_HZ, MEL_HIGH_HZ = 20.0, 4000.0
LOG_OFFSET = 1e-6
SLICE_CLIPS = 64  # spectra of so many stay in the processor's cache: 2 to 4 times faster than 1,000 at once


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """What features are computed of; the defaults are the benchmark's. Lengths are in samples at 16 kHz."""

    clip_samples: int = CLIP_SAMPLES
    frame_samples: int = 480  # 30 ms
    step_samples: int = 320  # 20 ms
    mel_bins: int = 40
    coefficients: int = 10
    """Of the DCT; 0: the logarithms of the mel bins themselves."""

    @property
    def fft_points(self) -> int:
        """The next power of two from a frame on."""
        return 1 << (self.frame_samples - 1).bit_length()

    @property
    def frames(self) -> int:
        """Whole frames in a clip."""
        return 1 + (self.clip_samples - self.frame_samples) // self.step_samples

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the features of one clip: (frames, coefficients or mel bins, 1)."""
        return self.frames, self.coefficients or self.mel_bins, 1


BENCHMARK = FeatureSettings()


def normalize(clips: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    """Divide each clip (n, samples) by its own largest sample, as the benchmark does.

    The largest sample is not the largest magnitude, so negative peaks may reach below -1. A clip without a
    positive sample, where the benchmark would divide by zero or flip the sign, is divided by full scale.
    """
    peak = clips.max(axis=1, keepdims=True).astype(np.float32)
    audio = clips.astype(np.float32)
    audio /= np.where(peak > 0, peak, np.float32(32768))
    return audio


def mfcc(audio: npt.NDArray[np.float32], settings: FeatureSettings = BENCHMARK) -> npt.NDArray[np.float32]:
    """Compute the features of normalised clips in float32: (n, 16000) to (n, 49, 10, 1) for the benchmark's.

    Windowed magnitude spectra, mel bins, natural log, and the first coefficients of the DCT-II.
    """
    import torch

    features = np.empty((len(audio), *settings.shape), np.float32)
    with torch.inference_mode(), _one_thread():
        for start in range(0, len(audio), SLICE_CLIPS):
            part = slice(start, start + SLICE_CLIPS)
            features[part, ..., 0] = _features(torch.from_numpy(audio[part]), settings).numpy()
    return features


def _features(audio: torch.Tensor, settings: FeatureSettings) -> torch.Tensor:
    """(n, 16000) -> (n, 49, 10); the shapes are those of the benchmark here and below."""
    import torch

    window, mel, dct = _tables(settings)
    frames = audio.unfold(1, settings.frame_samples, settings.step_samples)  # (n, 49, 480)
    spectrum = torch.fft.rfft(frames * window, n=settings.fft_points)  # (n, 49, 257)
    magnitude = spectrum[..., : len(mel)].abs()  # (n, 49, 128)
    logarithms = torch.log(magnitude @ mel + LOG_OFFSET)  # (n, 49, 40)
    return logarithms @ dct if settings.coefficients else logarithms  # (n, 49, 10)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch from sharing out these small operations, which a busy machine made 10 times slower."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@functools.cache
def _tables(settings: FeatureSettings) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give window (480,), mel filters (128, 40) and DCT (40, 10) as float32 tensors."""
    import torch

    phase = 2 * np.pi * np.arange(settings.frame_samples) / settings.frame_samples
    hann = 0.5 - 0.5 * np.cos(phase)  # periodic
    filters = mel_filters(settings)
    audible = 1 + int(np.flatnonzero(filters.any(axis=1))[-1])  # bins from MEL_HIGH_HZ on weigh nothing
    tables = (hann, filters[:audible], dct_matrix(settings))
    return tuple(torch.from_numpy(table.astype(np.float32)) for table in tables)  # type: ignore[return-value]


def mel_filters(settings: FeatureSettings = BENCHMARK) -> npt.NDArray[np.float64]:
    """Give the weight of each spectrum bin in each mel bin, (257, 40): triangles on the HTK mel scale."""
    bins = _hertz_to_mel(np.linspace(0.0, SAMPLE_RATE_HZ / 2, settings.fft_points // 2 + 1)[1:, None])
    edges = np.linspace(_hertz_to_mel(MEL_LOW_HZ), _hertz_to_mel(MEL_HIGH_HZ), settings.mel_bins + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    triangles: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    filters: npt.NDArray[np.float64] = np.pad(triangles, ((1, 0), (0, 0)))
    return filters  # the constant component carries no weight


def dct_matrix(settings: FeatureSettings = BENCHMARK) -> npt.NDArray[np.float64]:
    """Give the DCT-II, (40, 10): with its factor 2, divided by sqrt(2 * 40)."""
    bins = settings.mel_bins
    position = np.arange(bins)[:, None] + 0.5
    scale = 2 / (2 * bins) ** 0.5
    matrix: npt.NDArray[np.float64] = scale * np.cos(np.pi / bins * position * np.arange(settings.coefficients))
    return matrix


def _hertz_to_mel(hertz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    mel: npt.NDArray[np.float64] = 1127.0 * np.log1p(np.asarray(hertz) / 700.0)
    return mel
