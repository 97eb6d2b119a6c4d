"""Speech by espeak-ng: voices, the process that speaks, and how it pronounces a text."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import chain, groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nas.errors import DataError
from nas.tasks import _espeak_child
from nas.tasks.waveform import Samples

SAMPLE_RATE_HZ = _espeak_child.SAMPLE_RATE_HZ
ACCENTS = ("en-us", "en", "en-029", "en-gb-scotland", "en-gb-x-rp")
# Variants left out, by the beginning of their names.
NOT_HUMAN = ("Demonic", "UniRobot", "anikaRobot", "robosoft", "whisper", "croak", "Tweaky")
VOICE_SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Utterance:
    """One word and how to say it; the speed is in words a minute, pitch and its range go from 0 to 99."""

    text: str
    voice: str
    rate_wpm: int
    pitch: int
    pitch_range: int


def version() -> str:
    """Version of the package that brings espeak-ng.

    Raises:
        DataError: it is not installed.
    """
    _paths()
    return importlib.metadata.version("espeakng-loader")


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


def speak(utterances: Sequence[Utterance], seed: int) -> list[Samples]:
    """Say everything, at 22,050 Hz; the same list and seed give the same samples.

    Raises:
        DataError: espeak-ng is missing or does not work.
    """
    answer = _ask(seed, utterances=[astuple(utterance) for utterance in utterances])
    lengths = np.frombuffer(answer, np.uint32, len(utterances))
    samples = np.frombuffer(answer, np.int16, offset=lengths.nbytes)
    return np.split(samples, np.cumsum(lengths)[:-1])


def pronounce(texts: Sequence[str]) -> dict[str, frozenset[str]]:
    """Give how each text sounds in each accent: phonemes without stress and pauses.

    Two texts that share one of these sound the same to somebody.

    Raises:
        DataError: espeak-ng is missing or does not work.
    """
    bare = str.maketrans("", "", "',|: _%=-")
    heard: dict[str, set[str]] = {text: set() for text in texts}
    for accent, answers in zip(ACCENTS, json.loads(_ask(0, texts=list(texts), voices=ACCENTS)), strict=True):
        for text, said in zip(texts, answers, strict=True):
            heard[text].add(f"{accent} {said.translate(bare)}")
    return {text: frozenset(said) for text, said in heard.items()}


def _ask(seed: int, **request: Any) -> bytes:
    """Have a fresh process do it; see ``_espeak_child``."""
    library, data = _paths()
    asked = {"library": str(library), "data": str(data), "seed": seed, **request}
    command = [sys.executable, str(_espeak_child.__file__)]
    result = subprocess.run(command, input=json.dumps(asked).encode(), capture_output=True, check=False)
    if result.returncode:
        reason = result.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"code {result.returncode}"]
        raise DataError(
            f"espeak-ng failed: {reason[0]}; reinstall it with: pip install --force-reinstall espeakng-loader"
        )
    return result.stdout


def _paths() -> tuple[Path, Path]:
    """Find espeak-ng's shared library and its data folder."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise DataError(
            'synthetic speech needs espeak-ng: pip install "mcu-nas[speech]", or give real data with --data DIR'
        ) from error
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())
