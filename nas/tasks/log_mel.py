"""Log-mel spectrograms of machine sounds, as the benchmark computes them (mlcommons/tiny, anomaly_detection/common.py).

16 kHz; Hann window and FFT of 1,024 samples, step 512; power spectrum; 128 triangular bands on the mel scale of
Slaney's Auditory Toolbox from 0 to 8 kHz, each of unit area (librosa's default); 10 log10(power + 2.2e-16); of the
frames, whose centres are multiples of the step, number 50 to 249.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
WINDOW, STEP = 1024, 512  # samples
BANDS = 128
FIRST_FRAME, FRAMES = 50, 200
START, STOP = FIRST_FRAME * STEP - WINDOW // 2, (FIRST_FRAME + FRAMES - 1) * STEP + WINDOW // 2  # samples that count
# Slaney's scale: linear below 1 kHz, 200/3 Hz a mel; above, 27 mels for a factor of 6.4.
HZ_PER_MEL, BEND_HZ, LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def log_mel(samples: npt.NDArray[np.floating[Any] | np.int16]) -> Float32:
    """Spectrogram (200, 128) in decibels, time first, of one clip.

    Args:
        samples: (n,) of at least ``STOP``, int16 or floats of full scale 1.
    """
    full_scale = 32_768.0 if samples.dtype == np.int16 else 1.0
    part = samples[START:STOP].astype(np.float64) / full_scale
    frames = np.lib.stride_tricks.sliding_window_view(part, WINDOW)[::STEP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)  # periodic
    power = np.square(np.abs(np.fft.rfft(frames * hann, axis=1)))
    return np.asarray(10 * np.log10(power @ _FILTERS + sys.float_info.epsilon), np.float32)


def _filters() -> Float64:
    """Weights of the bands: (513, 128)."""
    ends = _hz(np.linspace(0, _mel(SAMPLE_RATE_HZ / 2), BANDS + 2))
    bins = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE_HZ)[:, np.newaxis]
    left, middle, right = ends[:-2], ends[1:-1], ends[2:]
    triangles = np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle)).clip(0)
    weights: Float64 = triangles * 2 / (right - left)
    return weights


def _mel(hz: float) -> float:
    return float(BEND_HZ / HZ_PER_MEL + np.log(hz / BEND_HZ) / LOG_STEP if hz >= BEND_HZ else hz / HZ_PER_MEL)


def _hz(mel: Float64) -> Float64:
    bend = BEND_HZ / HZ_PER_MEL
    return np.where(mel < bend, mel * HZ_PER_MEL, BEND_HZ * np.exp(LOG_STEP * (mel - bend)))


_FILTERS = _filters()
