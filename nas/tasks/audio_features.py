"""Feature settings of audio tasks as a user writes them: ``--clip 1s --window 30ms --hop 20ms --mels 40``."""

from __future__ import annotations

import itertools
from dataclasses import replace

from nas.errors import InputError
from nas.tasks.mfcc import BENCHMARK, SAMPLE_RATE_HZ, FeatureSettings, mel_filters
from nas.tasks.settings import TaskSettings
from nas.units import parse_milliseconds

NAMES = ("clip", "window", "hop", "mels", "coefficients")
CLIP_MS = (100.0, 10_000.0)  # to the length of the noise that is made for synthetic speech
LEAST_MELS = 8
LEAST_FRAMES, MOST_FRAMES = 8, 1000  # an image of fewer rows is too small for the kernels, of more for the chips


def feature_settings(asked: TaskSettings) -> FeatureSettings:
    """Read the flags; what was not given is as in the benchmark.

    Raises:
        UnitError: not a duration.
        InputError: out of range, or settings that contradict each other.
    """
    settings = replace(
        BENCHMARK,
        clip_samples=_samples("clip", asked.clip, BENCHMARK.clip_samples),
        frame_samples=_samples("window", asked.window, BENCHMARK.frame_samples),
        step_samples=_samples("hop", asked.hop, BENCHMARK.step_samples),
        mel_bins=BENCHMARK.mel_bins if asked.mels is None else asked.mels,
        coefficients=BENCHMARK.coefficients if asked.coefficients is None else asked.coefficients,
    )
    _check_clip(settings)
    _check_mels(settings)
    return settings


def milliseconds(samples: int) -> float:
    """Length of so many samples."""
    return samples * 1000 / SAMPLE_RATE_HZ


def _samples(name: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    count = round(parse_milliseconds(text, f"--{name}", "30ms") * SAMPLE_RATE_HZ / 1000)
    if count < 1:
        raise InputError(f"--{name} {text} is less than one sample at {SAMPLE_RATE_HZ:,} Hz")
    return count


def _check_clip(settings: FeatureSettings) -> None:
    clip, window, hop = map(milliseconds, (settings.clip_samples, settings.frame_samples, settings.step_samples))
    if not CLIP_MS[0] <= clip <= CLIP_MS[1]:
        raise InputError(f"--clip {clip:g}ms: a clip may last from {CLIP_MS[0]:g} ms to {CLIP_MS[1] / 1000:g} s")
    if window > clip or not LEAST_FRAMES <= settings.frames <= MOST_FRAMES:
        raise InputError(
            f"--clip {clip:g}ms holds {max(settings.frames, 0)} windows of {window:g} ms every {hop:g} ms: "
            f"networks take from {LEAST_FRAMES} to {MOST_FRAMES:,}; change --window or --hop"
        )


def _check_mels(settings: FeatureSettings) -> None:
    if not 0 <= settings.coefficients <= settings.mel_bins:
        raise InputError(
            f"--coefficients {settings.coefficients}: give from 1 to the {settings.mel_bins} of --mels, "
            "or 0 for the logarithms of the mel bins themselves"
        )
    if settings.mel_bins < LEAST_MELS or not _all_filled(settings):
        window, most = milliseconds(settings.frame_samples), _most_mels(settings)
        raise InputError(
            f"--mels {settings.mel_bins}: give at least {LEAST_MELS}; the spectrum of a window of {window:g} ms "
            f"fills at most {most}"
        )


def _all_filled(settings: FeatureSettings) -> bool:
    """No mel bin lies between two lines of the spectrum, where it would always be empty."""
    return bool(mel_filters(settings).any(axis=0).all())


def _most_mels(settings: FeatureSettings) -> int:
    """The number of mel bins from which on some are empty, less one."""
    return next(n for n in itertools.count(1) if not _all_filled(replace(settings, mel_bins=n + 1)))
