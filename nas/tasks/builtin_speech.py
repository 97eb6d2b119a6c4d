"""A small synthetic keyword set, spoken by espeak-ng: for trying the tool without a download, and for tests.

Ten keywords, other words and noise; see ``synthesis``.
"""

from __future__ import annotations

from nas.tasks import espeak
from nas.tasks.base import Progress
from nas.tasks.espeak import Rng
from nas.tasks.speech_commands import CLASSES, KEYWORDS, SILENCE, UNKNOWN
from nas.tasks.synthesis import BABBLE_VOICES, Script, synthesise
from nas.tasks.waveform import AudioSet

BUILTIN_NOTICE = (
    "SYNTHETIC DATA: the words are spoken by a program (espeak-ng), not by people.\n"
    "An accuracy on it says nothing about real speech; for a real result use --data DIR with Speech Commands."
)
NAME = "builtin-espeak"
VERSION = 1  # raise it whenever the same seed gives other audio
SEED = 20_180_409
CLIPS_PER_CLASS = {"train": 150, "validation": 40, "test": 60}

# fmt: off
OTHER_WORDS = (  # the others of Speech Commands
    "backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward",
    "four", "happy", "house", "learn", "marvin", "nine", "one", "seven", "sheila",
    "six", "three", "tree", "two", "visual", "wow", "zero",
)
# fmt: on


def content() -> list[object]:
    """Identify the data that ``generate`` makes, for the feature cache."""
    return [NAME, VERSION, SEED, CLIPS_PER_CLASS, espeak.version()]


def generate(progress: Progress | None = None) -> AudioSet:
    """Make the whole set, always the same.

    Raises:
        DataError: the package espeakng-loader is missing or does not work.
    """
    made = synthesise(_write, SEED, SILENCE, progress=progress)
    train, validation, test = (made[split].clips for split in ("train", "validation", "test"))
    return AudioSet(NAME, True, CLASSES, train, validation, test, made["train"].noise, (BUILTIN_NOTICE,))


def _write(split: str, rng: Rng) -> Script:
    """Write what is to be said: the clips of each keyword, as many other words, then words for babble."""
    count = CLIPS_PER_CLASS[split]
    others = list(map(str, rng.choice(OTHER_WORDS, count + BABBLE_VOICES)))
    texts = [*(word for word in KEYWORDS for _ in range(count)), *others[:count]]
    labels = [*(label for label in range(len(KEYWORDS)) for _ in range(count)), *[UNKNOWN] * count]
    return Script(texts, labels, others[count:], count)
