"""A small synthetic keyword set, spoken by espeak-ng: for trying the tool without a download, and for tests.

Ten keywords, other words and noise, in many voices, accents, pitches and speeds, with a little room echo,
random loudness and background noise. Each split has voices and noise of its own.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from pathlib import Path

import numpy as np

from nas.errors import DataError
from nas.tasks import _espeak_child
from nas.tasks.base import FloatArray, Progress
from nas.tasks.mfcc import CLIP_SAMPLES, SAMPLE_RATE_HZ
from nas.tasks.speech_commands import CLASSES, KEYWORDS, SILENCE
from nas.tasks.waveform import Audio, AudioSet, Clips, Samples, random_windows

BUILTIN_NOTICE = (
    "SYNTHETIC DATA: the words are spoken by a program (espeak-ng), not by people.\n"
    "An accuracy on it says nothing about real speech; for a real result use --data DIR with Speech Commands."
)
NAME = "builtin-espeak"
VERSION = 1  # raise it whenever the same seed gives other audio
SEED = 20_180_409
CLIPS_PER_CLASS = {"train": 150, "validation": 40, "test": 60}
VOICE_SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}

ACCENTS = ("en-us", "en", "en-029", "en-gb-scotland", "en-gb-x-rp")
# Variants left out, by the beginning of their names.
NOT_HUMAN = ("Demonic", "UniRobot", "anikaRobot", "robosoft", "whisper", "croak", "Tweaky")
# fmt: off
OTHER_WORDS = (  # the others of Speech Commands
    "backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward",
    "four", "happy", "house", "learn", "marvin", "nine", "one", "seven", "sheila",
    "six", "three", "tree", "two", "visual", "wow", "zero",
)
# fmt: on

RATE_WPM, PITCH, PITCH_RANGE = (130, 220), (20, 80), (30, 70)  # espeak's own defaults are 175, 50, 50
SIGNAL_TO_NOISE_DB = (5.0, 35.0)
SPEECH_LEVEL, SILENCE_LEVEL = (0.1, 0.7), (0.002, 0.2)  # of full scale: peak of speech, deviation of noise
OFF_CENTRE_S = 0.1
ECHOES, ECHO_DELAY_S, ECHO_GAIN = 3, (0.004, 0.04), 0.3
NOISE_SECONDS = 10
BABBLE_VOICES = 40  # utterances in ten seconds of babble
CHUNK = 256  # clips whose spectra are in memory at once

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Utterance:
    """One word and how to say it; the speed is in words a minute, pitch and its range go from 0 to 99."""

    text: str
    voice: str
    rate_wpm: int
    pitch: int
    pitch_range: int


def content() -> list[object]:
    """Identify the data that ``generate`` makes, for the feature cache."""
    _paths()
    return [NAME, VERSION, SEED, CLIPS_PER_CLASS, importlib.metadata.version("espeakng-loader")]


def generate(progress: Progress | None = None) -> AudioSet:
    """Make the whole set, always the same.

    Raises:
        DataError: the package espeakng-loader is missing or does not work.
    """
    rng = np.random.default_rng(SEED)
    voices = share_voices(voice_names(), rng)
    scripts = {split: _script(split, voices[split], rng) for split in CLIPS_PER_CLASS}
    spoken = _speak([utterance for script in scripts.values() for utterance in script])
    ends = np.cumsum([0, *map(len, scripts.values())])
    made = {}
    for done, (split, (start, stop)) in enumerate(zip(scripts, pairwise(ends), strict=True), 1):
        made[split] = _make_split(split, spoken[start:stop], rng)
        if progress:
            progress("generating speech", done, len(scripts))
    train, validation, test = (made[split][0] for split in ("train", "validation", "test"))
    return AudioSet(NAME, True, CLASSES, train, validation, test, made["train"][1], (BUILTIN_NOTICE,))


def voice_names() -> list[str]:
    """List the voice variants that come with espeak-ng, without those that sound like no one."""
    folder = _paths()[1] / "voices" / "!v"
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(NOT_HUMAN))


def share_voices(names: Sequence[str], rng: Rng) -> dict[str, list[str]]:
    """Divide the voices among the splits; relatives such as ``edward`` and ``edward2`` stay together."""
    families = [list(family) for _, family in groupby(sorted(names, key=_family), key=_family)]
    order = [families[index] for index in rng.permutation(len(families))]
    ends = np.round(np.cumsum([0.0, *VOICE_SHARES.values()]) * len(order)).astype(int)
    return {split: list(chain(*order[a:b])) for split, (a, b) in zip(VOICE_SHARES, pairwise(ends), strict=True)}


def _family(name: str) -> str:
    stem = name.lower().rstrip("0123456789")
    return stem if len(stem) > 1 else name  # f1 to f5 and m1 to m8 are different people


def _script(split: str, voices: Sequence[str], rng: Rng) -> list[Utterance]:
    """Write what is to be said: the clips of each keyword, as many other words, then words for babble."""
    count = CLIPS_PER_CLASS[split]
    others = rng.choice(OTHER_WORDS, count + BABBLE_VOICES)
    words = [*(word for word in KEYWORDS for _ in range(count)), *map(str, others)]
    return [
        Utterance(
            word,
            f"{rng.choice(ACCENTS)}+{rng.choice(voices)}",
            *(int(rng.integers(*bounds, endpoint=True)) for bounds in (RATE_WPM, PITCH, PITCH_RANGE)),
        )
        for word in words
    ]


def _make_split(split: str, spoken: Sequence[Samples], rng: Rng) -> tuple[Clips, tuple[Audio, ...]]:
    """Turn a split's utterances into its clips and its noise recordings."""
    count = CLIPS_PER_CLASS[split]
    waves = np.concatenate([_room(spoken[at : at + CHUNK], rng) for at in range(0, len(spoken), CHUNK)])
    speech, babble = waves[:-BABBLE_VOICES], waves[-BABBLE_VOICES:]
    noise = (*_noises(rng), _babble(babble, rng))
    noisy = _mix(speech, random_windows(noise, len(speech), rng), rng)
    quiet, loud = np.log(SILENCE_LEVEL)
    level = np.exp(rng.uniform(quiet, loud, (count, 1)))
    silence = _to_int16(random_windows(noise, count, rng) * level)
    clips = np.concatenate([noisy, silence])
    keywords = np.repeat(np.arange(len(KEYWORDS)), count)
    labels = np.concatenate([keywords, np.full(count, CLASSES.index("unknown")), np.full(count, SILENCE)])
    return Clips(labels.astype(np.int64), lambda start, stop: list(clips[start:stop])), noise


def _room(spoken: Sequence[Samples], rng: Rng) -> Audio:
    """Place words in one second each, add echoes and resample to 16 kHz, peak 1: (n, 16000).

    Resampling keeps the bins of the one-second spectrum up to 8 kHz; an echo is a phase ramp on it.
    """
    seconds = np.stack([_place(word, rng) for word in spoken])  # (n, 22050)
    spectrum = np.fft.rfft(seconds)[:, : CLIP_SAMPLES // 2 + 1]
    hertz = np.arange(spectrum.shape[1])  # bins of one second are 1 Hz apart
    room = np.ones(spectrum.shape, np.complex128)
    for _ in range(ECHOES):
        delay = rng.uniform(*ECHO_DELAY_S, size=(len(spoken), 1))
        room += rng.uniform(0, ECHO_GAIN, (len(spoken), 1)) * np.exp(-2j * np.pi * hertz * delay)
    audio = np.fft.irfft(spectrum * room, n=CLIP_SAMPLES)
    peak = np.abs(audio).max(axis=1, keepdims=True).clip(1e-9)
    return np.asarray(audio / peak, np.float32)


def _place(word: Samples, rng: Rng) -> Audio:
    """Trim the quiet ends of a word and put it near the middle of one second at 22,050 Hz."""
    length = _espeak_child.SAMPLE_RATE_HZ
    loud = np.flatnonzero(np.abs(word.astype(np.int32)) > 200)
    word = word[loud[0] : loud[-1] + 1][:length] if len(loud) else word[:0]
    spare = length - len(word)
    start = spare / 2 + rng.uniform(-OFF_CENTRE_S, OFF_CENTRE_S) * length
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
    """Lay words (n, 16000) over each other at random places of one recording with deviation 1."""
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


def _speak(utterances: Sequence[Utterance]) -> list[Samples]:
    """Have everything said by a fresh process; see ``_espeak_child``."""
    library, data = _paths()
    request = {
        "library": str(library),
        "data": str(data),
        "seed": SEED,
        "utterances": [[u.text, u.voice, u.rate_wpm, u.pitch, u.pitch_range] for u in utterances],
    }
    command = [sys.executable, str(_espeak_child.__file__)]
    result = subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, check=False)
    if result.returncode:
        reason = result.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"code {result.returncode}"]
        raise DataError(
            f"espeak-ng failed: {reason[0]}; reinstall it with: pip install --force-reinstall espeakng-loader"
        )
    lengths = np.frombuffer(result.stdout, np.uint32, len(utterances))
    samples = np.frombuffer(result.stdout, np.int16, offset=lengths.nbytes)
    return np.split(samples, np.cumsum(lengths)[:-1])


def _paths() -> tuple[Path, Path]:
    """Find espeak-ng's shared library and its data folder."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise DataError(
            'builtin speech needs espeak-ng: pip install "mcu-nas[speech]", or give real data with --data DIR'
        ) from error
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


def _unit(recording: FloatArray) -> Audio:
    return np.asarray(recording / recording.std(), np.float32)


def _to_int16(audio: FloatArray) -> Samples:
    return np.asarray(audio.clip(-1, 1) * 32767, np.int16)
