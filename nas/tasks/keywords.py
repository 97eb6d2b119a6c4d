"""Keywords of the user's choice, and what else is said: texts that are easily taken for them, and other words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nas.errors import InputError
from nas.tasks.builtin_speech import OTHER_WORDS as OTHERS_OF_SPEECH_COMMANDS
from nas.tasks.espeak import Rng, pronounce
from nas.tasks.speech_commands import KEYWORDS as TEN_OF_SPEECH_COMMANDS

MOST = 20
LONGEST = 40  # letters
RESERVED = ("silence", "unknown")
NEAR_SHARE = 0.5  # of the unknown clips: texts that are close to a keyword

# fmt: off
OTHER_WORDS = (*OTHERS_OF_SPEECH_COMMANDS, *TEN_OF_SPEECH_COMMANDS,
    "about", "after", "again", "apple", "back", "because", "before", "big", "book", "both", "bread", "bring", "call",
    "car", "chair", "city", "clean", "close", "coffee", "cold", "come", "day", "dinner", "door", "early", "easy",
    "every", "face", "family", "find", "first", "fish", "food", "garden", "good", "green", "hand", "hello", "here",
    "home", "hot", "just", "kitchen", "last", "later", "light", "little", "long", "look", "make", "man", "maybe",
    "milk", "money", "morning", "mother", "music", "name", "never", "new", "night", "now", "open", "other", "over",
    "paper", "people", "phone", "place", "play", "please", "put", "radio", "really", "red", "room", "school", "see",
    "set", "she", "song", "start", "story", "summer", "sunday", "table", "take", "thank you", "that", "think", "this",
    "time", "today", "turn", "under", "very", "voice", "wait", "walk", "want", "water", "week", "what", "when",
    "where", "white", "window", "winter", "work", "world", "yellow", "yesterday", "you", "your",
)
# fmt: on
VOWELS, OTHER_STARTS = "aeiou", ("b", "d", "f", "k", "l", "m", "s", "t")


def parse_keywords(keywords: Sequence[str]) -> tuple[str, ...]:
    """Check keywords and write them in lower case with single spaces.

    Raises:
        InputError: none, too many, twice the same, reserved, or of letters that English voices do not read.
    """
    found = tuple(" ".join(keyword.lower().split()) for keyword in keywords)
    if not 1 <= len(found) <= MOST:
        raise InputError(f"--keywords: found {len(found)}, give 1 to {MOST} separated by commas: 'lamp on, lamp off'")
    for keyword in found:
        if not re.fullmatch(r"(?=.*[a-z0-9])[a-z0-9' ]+", keyword) or len(keyword) > LONGEST:
            raise InputError(
                f"--keywords: cannot use {keyword!r}: a keyword is up to {LONGEST} letters from a to z, digits, "
                "apostrophes and spaces, and commas stand between keywords"
            )
        if keyword in RESERVED:
            raise InputError(f"--keywords: {keyword!r} is a class of its own already; leave it out")
        if found.count(keyword) > 1:
            raise InputError(f"--keywords: {keyword!r} is there twice")
    return found


def require_distinct_sounds(keywords: Sequence[str]) -> None:
    """Refuse keywords that no one can tell apart by ear.

    Raises:
        InputError: two of them sound the same in one of the accents.
        DataError: espeak-ng is missing.
    """
    sounds = pronounce(keywords)
    for index, keyword in enumerate(keywords):
        for other in keywords[:index]:
            if sounds[keyword] & sounds[other]:
                raise InputError(f"--keywords: {other!r} and {keyword!r} sound the same; leave one out")


def write_unknown(keywords: Sequence[str], count: int, rng: Rng) -> list[str]:
    """Choose ``count`` texts to be spoken that are no keywords, about half of them close to one.

    None of them sounds like a keyword in any accent.
    """
    near = sorted({text for keyword in keywords for text in near_texts(keyword)})
    wanted = round(NEAR_SHARE * count) if near else 0
    close = [str(text) for text in rng.choice(near, 2 * wanted)] if wanted else []
    words = [len(keywords[index].split()) for index in rng.integers(0, len(keywords), 2 * count)]
    other = [" ".join(map(str, rng.choice(OTHER_WORDS, length))) for length in words]
    return (_unlike(keywords, close)[:wanted] + _unlike(keywords, other))[:count]


def near_texts(keyword: str) -> Iterator[str]:
    """Texts that are easily taken for a keyword: its parts, its words in reverse, and words with one other sound."""
    words = keyword.split()
    for first in range(len(words)):
        for last in range(first + 1, len(words) + 1):
            if last - first < len(words):
                yield " ".join(words[first:last])
    if len(words) > 1:
        yield " ".join(reversed(words))
    for index, word in enumerate(words):
        for other in _altered(word):
            yield " ".join([*words[:index], other, *words[index + 1 :]])


def _altered(word: str) -> Iterator[str]:
    """A word with another first vowel, or another beginning."""
    start, vowel, end = re.fullmatch(r"([^aeiou]*)([aeiou]*)(.*)", word).groups()  # type: ignore[union-attr]
    if vowel:
        yield from (start + other + end for other in VOWELS if other != vowel)
        yield from (other + vowel + end for other in OTHER_STARTS if other != start)


def _unlike(keywords: Sequence[str], texts: Sequence[str]) -> list[str]:
    """The texts that sound like no keyword."""
    sounds = pronounce(sorted({*keywords, *texts}))
    taken = frozenset().union(*(sounds[keyword] for keyword in keywords))
    return [text for text in texts if not sounds[text] & taken]
