"""Speaks a list of words with espeak-ng, in a process of its own that ``espeak`` starts.

A fresh process, because espeak-ng (GPL-3.0) keeps state between utterances that nothing resets: only a new
process with a fixed seed says the same words in the same way again. Needs the standard library alone.

    stdin   JSON: library, data (paths), seed, utterances [[text, voice, rate, pitch, pitch range], ...]
    stdout  uint32 samples per utterance, then all samples as int16, 22,050 Hz

or, to learn how texts are pronounced without hearing them:

    stdin   JSON: library, data, seed, texts [text, ...], voices [voice, ...]
    stdout  JSON: for each voice the phonemes of each text
"""

from __future__ import annotations

import array
import ctypes
import json
import sys
from typing import Any

# Numbers from espeak-ng's speak_lib.h.
SYNCHRONOUS = 2  # a call returns when its audio is done; the other modes sleep 20 ms per call
DONT_EXIT = 0x8000
RATE, PITCH, RANGE = 1, 3, 4
CHARACTERS_UTF8 = 1
SAMPLE_RATE_HZ = 22_050

Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main() -> None:
    request = json.load(sys.stdin)
    library = open_library(request["library"], request["data"], request["seed"])
    if "texts" in request:
        json.dump([pronounce(library, request["texts"], voice) for voice in request["voices"]], sys.stdout)
        return
    samples, lengths = array.array("h"), array.array("I")

    def collect(wave: Any, count: int, _events: Any) -> int:
        if wave and count > 0:
            samples.frombytes(ctypes.string_at(wave, 2 * count))
        return 0

    callback = Callback(collect)
    library.espeak_SetSynthCallback(callback)
    for utterance in request["utterances"]:
        before = len(samples)
        speak(library, *utterance)
        lengths.append(len(samples) - before)
    sys.stdout.buffer.write(lengths.tobytes() + samples.tobytes())


def open_library(path: str, data: str, seed: int) -> ctypes.CDLL:
    """Load and start espeak-ng with its random numbers at ``seed``."""
    library = ctypes.CDLL(path)
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), DONT_EXIT)
    if rate != SAMPLE_RATE_HZ:
        sys.exit(f"espeak-ng starts at {rate} Hz, expected {SAMPLE_RATE_HZ}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
    return library


def set_voice(library: ctypes.CDLL, voice: str) -> None:
    if library.espeak_SetVoiceByName(voice.encode()):
        sys.exit(f"espeak-ng has no voice {voice!r}")


def pronounce(library: ctypes.CDLL, texts: list[str], voice: str) -> list[str]:
    """Give the phonemes of each text in espeak-ng's own letters."""
    set_voice(library, voice)
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    said = []
    for text in texts:
        left, clauses = ctypes.c_char_p(text.encode()), []
        while left.value is not None:  # one call reads one clause
            clauses.append(library.espeak_TextToPhonemes(ctypes.byref(left), CHARACTERS_UTF8, 0).decode())
        said.append(" ".join(clauses))
    return said


def speak(library: ctypes.CDLL, text: str, voice: str, rate: int, pitch: int, pitch_range: int) -> None:
    """Say one word; the samples go to the callback."""
    set_voice(library, voice)
    for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, pitch_range)):
        library.espeak_SetParameter(parameter, value, 0)
    encoded = text.encode()
    size = ctypes.c_size_t(len(encoded) + 1)
    library.espeak_Synth(encoded, size, 0, 1, 0, CHARACTERS_UTF8, None, None)
    library.espeak_Synchronize()


if __name__ == "__main__":
    main()
