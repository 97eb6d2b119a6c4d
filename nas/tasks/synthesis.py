"""Synthetic speech sets: texts in many voices, accents, pitches and speeds, in small rooms, with noise.

What is said is the caller's choice. Each split has voices and noise of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nas.tasks import espeak
from nas.tasks.base import FloatArray, Progress
from nas.tasks.espeak import Rng, Utterance
from nas.tasks.mfcc import CLIP_SAMPLES, SAMPLE_RATE_HZ
from nas.tasks.waveform import Audio, Clips, Samples, random_windows

RATE_WPM, PITCH, PITCH_RANGE = (130, 220), (20, 80), (30, 70)  # espeak's own defaults are 175, 50, 50
SIGNAL_TO_NOISE_DB = (5.0, 35.0)
SPEECH_LEVEL, SILENCE_LEVEL = (0.1, 0.7), (0.002, 0.2)  # of full scale: peak of speech, deviation of noise
AUDIBLE = 200  # of 32768: what is quieter at the ends of a word is left out
OFF_CENTRE_S = 0.1
ECHOES, ECHO_DELAY_S, ECHO_GAIN = 3, (0.004, 0.04), 0.3
NOISE_SECONDS = 10
BABBLE_VOICES = 40  # utterances in ten seconds of babble
CHUNK = 256  # clips whose spectra are in memory at once
STEP_IN, STEP_OUT = 441, 320  # samples of 20 ms before and after resampling, 22,050 and 16,000 Hz


@dataclass(frozen=True, slots=True)
class Script:
    """What is said in one split: ``texts`` with their ``labels``, ``babble`` for the noise, and clips of silence."""

    texts: Sequence[str]
    labels: Sequence[int]
    babble: Sequence[str]
    silence: int


@dataclass(frozen=True, slots=True)
class Synthesis:
    """One split: its clips, first those of the script and then silence; its noise; and how long each text takes."""

    clips: Clips
    noise: tuple[Audio, ...]
    seconds: FloatArray


def synthesise(
    write: Callable[[str, Rng], Script],
    seed: int,
    silence: int,
    clip_samples: int = CLIP_SAMPLES,
    progress: Progress | None = None,
) -> dict[str, Synthesis]:
    """Make all three splits, always the same.

    Args:
        write: gives the script of a split.
        seed: of everything that is drawn.
        silence: label of a clip without speech.
        clip_samples: length of a clip at 16 kHz; longer speech is cut.
        progress: told of the work.

    Raises:
        DataError: the package espeakng-loader is missing or does not work.
    """
    rng = np.random.default_rng(seed)
    voices = espeak.share_voices(espeak.voice_names(), rng)
    scripts, said = {}, {}
    for split in voices:
        scripts[split] = script = write(split, rng)
        said[split] = _say((*script.texts, *script.babble), voices[split], rng)
    spoken = espeak.speak([utterance for one in said.values() for utterance in one], seed)
    ends = np.cumsum([0, *map(len, said.values())])
    made = {}
    for done, (split, (start, stop)) in enumerate(zip(scripts, pairwise(ends), strict=True), 1):
        made[split] = _record(scripts[split], [_trim(word) for word in spoken[start:stop]], silence, clip_samples, rng)
        if progress:
            progress("generating speech", done, len(scripts))
    return made


def _say(texts: Sequence[str], voices: Sequence[str], rng: Rng) -> list[Utterance]:
    """Give each text a voice, an accent, a speed and a pitch."""
    return [
        Utterance(
            text,
            f"{rng.choice(espeak.ACCENTS)}+{rng.choice(voices)}",
            *(int(rng.integers(*bounds, endpoint=True)) for bounds in (RATE_WPM, PITCH, PITCH_RANGE)),
        )
        for text in texts
    ]


def _record(script: Script, spoken: Sequence[Samples], silence: int, length: int, rng: Rng) -> Synthesis:
    """Turn a split's utterances into its clips and its noise recordings."""
    waves = np.concatenate([_room(spoken[at : at + CHUNK], length, rng) for at in range(0, len(spoken), CHUNK)])
    speech, babble = waves[: len(script.texts)], waves[len(script.texts) :]
    noise = (*_noises(rng), _babble(babble, rng))
    noisy = _mix(speech, random_windows(noise, len(speech), rng, length), rng)
    quiet, loud = np.log(SILENCE_LEVEL)
    level = np.exp(rng.uniform(quiet, loud, (script.silence, 1)))
    silent = _to_int16(random_windows(noise, script.silence, rng, length) * level)
    clips = np.concatenate([noisy, silent])
    labels = np.array([*script.labels, *[silence] * script.silence], np.int64)
    seconds = np.array([len(word) for word in spoken[: len(script.texts)]]) / espeak.SAMPLE_RATE_HZ
    return Synthesis(Clips(labels, lambda start, stop: list(clips[start:stop])), noise, seconds)


def _trim(word: Samples) -> Samples:
    """Leave out the quiet ends of a word."""
    loud = np.flatnonzero(np.abs(word.astype(np.int32)) > AUDIBLE)
    return word[loud[0] : loud[-1] + 1] if len(loud) else word[:0]


def _room(spoken: Sequence[Samples], length: int, rng: Rng) -> Audio:
    """Place words in a clip each, add echoes and resample to 16 kHz, peak 1: (n, length).

    Resampling keeps the bins of a clip's spectrum up to 8 kHz; an echo is a phase ramp on it.
    """
    steps = -(-length // STEP_OUT)
    placed = np.stack([_place(word, steps * STEP_IN, rng) for word in spoken])  # (n, 22050) for a second
    spectrum = np.fft.rfft(placed)[:, : steps * STEP_OUT // 2 + 1]
    hertz = np.arange(spectrum.shape[1]) * (SAMPLE_RATE_HZ / (steps * STEP_OUT))
    room = np.ones(spectrum.shape, np.complex128)
    for _ in range(ECHOES):
        delay = rng.uniform(*ECHO_DELAY_S, size=(len(spoken), 1))
        room += rng.uniform(0, ECHO_GAIN, (len(spoken), 1)) * np.exp(-2j * np.pi * hertz * delay)
    audio = np.fft.irfft(spectrum * room, n=steps * STEP_OUT)[:, :length]
    peak = np.abs(audio).max(axis=1, keepdims=True).clip(1e-9)
    return np.asarray(audio / peak, np.float32)


def _place(word: Samples, length: int, rng: Rng) -> Audio:
    """Put a word near the middle of (length,) at 22,050 Hz, or its beginning if it is longer."""
    word = word[:length]
    spare = length - len(word)
    start = spare / 2 + rng.uniform(-OFF_CENTRE_S, OFF_CENTRE_S) * espeak.SAMPLE_RATE_HZ
    start = int(np.clip(start, 0, spare))
    return np.pad(word, (start, spare - start)).astype(np.float32)


def _noises(rng: Rng) -> list[Audio]:
    """Make recordings of white, pink and brown noise and of mains hum, each (160000,) with deviation 1."""
    length = NOISE_SECONDS * SAMPLE_RATE_HZ
    hertz = np.fft.rfftfreq(length, 1 / SAMPLE_RATE_HZ).clip(20)
    slopes = [rng.uniform(low, low + 0.3) for low in (0.0, 0.4, 0.9)]  # amplitude falls with f to that power
    coloured = [np.fft.irfft(np.fft.rfft(rng.standard_normal(length)) * hertz**-slope) for slope in slopes]
    seconds = np.arange(length) / SAMPLE_RATE_HZ
    mains = rng.choice((50, 60)) * np.arange(1, 9)[:, None]
    hum = (rng.uniform(0.1, 1, (8, 1)) * np.sin(2 * np.pi * mains * seconds + rng.uniform(0, 6, (8, 1)))).sum(0)
    return [_unit(recording) for recording in (*coloured, hum / hum.std() + 0.3 * _unit(coloured[1]))]


def _babble(words: Audio, rng: Rng) -> Audio:
    """Lay words (n, samples) over each other at random places of one recording with deviation 1."""
    recording = np.zeros(NOISE_SECONDS * SAMPLE_RATE_HZ)
    for word in words:
        start = rng.integers(0, len(recording) - len(word), endpoint=True)
        recording[start : start + len(word)] += word
    return _unit(recording)


def _mix(speech: Audio, noise: Audio, rng: Rng) -> Samples:
    """Add noise of deviation 1 to speech of peak 1 at random ratios and loudness."""
    ratio_db = rng.uniform(*SIGNAL_TO_NOISE_DB, size=(len(speech), 1))
    noise_level = speech.std(axis=1, keepdims=True) * 10 ** (-ratio_db / 20)
    return _to_int16((speech + noise * noise_level) * rng.uniform(*SPEECH_LEVEL, size=(len(speech), 1)))


def _unit(recording: FloatArray) -> Audio:
    return np.asarray(recording / recording.std(), np.float32)


def _to_int16(audio: FloatArray) -> Samples:
    return np.asarray(audio.clip(-1, 1) * 32767, np.int16)
