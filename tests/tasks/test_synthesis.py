"""Synthetic speech is where it should be in a clip, as loud as it should be, in rooms and noises of the right kind."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from nas.tasks import espeak
from nas.tasks.mfcc import SAMPLE_RATE_HZ
from nas.tasks.synthesis import (
    ECHO_DELAY_S,
    OFF_CENTRE_S,
    SILENCE_LEVEL,
    SPEECH_LEVEL,
    Script,
    _noises,
    _place,
    _record,
    _room,
    _to_int16,
)


def test_full_scale_is_the_largest_integer() -> None:
    assert _to_int16(np.array([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0])).tolist() == [-32767, -32767, 0, 16383, 32767, 32767]


@pytest.mark.parametrize("samples", [1, 5000, 22_049, 22_050])
def test_a_word_lies_near_the_middle_of_its_clip(samples: int) -> None:
    word = np.full(samples, 7, np.int16)
    for seed in range(20):
        placed = _place(word, 22_050, np.random.default_rng(seed))
        there = np.flatnonzero(placed)
        assert placed.shape == (22_050,)
        assert len(there) == samples
        middle = (there[0] + there[-1] + 1) / 2
        assert abs(middle - 22_050 / 2) <= OFF_CENTRE_S * espeak.SAMPLE_RATE_HZ + 1


def test_of_a_word_that_is_too_long_the_beginning_stays() -> None:
    word = np.arange(1, 501, dtype=np.int16)
    assert _place(word, 441, np.random.default_rng(0)).tolist() == list(range(1, 442))


@pytest.mark.parametrize("hertz", [300, 3000, 7300])
def test_resampling_keeps_a_tone_up_to_eight_kilohertz(hertz: int) -> None:
    seconds = np.arange(espeak.SAMPLE_RATE_HZ) / espeak.SAMPLE_RATE_HZ
    tone = np.round(10_000 * np.sin(2 * np.pi * hertz * seconds)).astype(np.int16)
    (found,) = _room([tone], SAMPLE_RATE_HZ, np.random.default_rng(0))
    assert found.shape == (SAMPLE_RATE_HZ,)
    assert np.abs(found).max() == pytest.approx(1)
    power = np.abs(np.fft.rfft(found)) ** 2
    assert power.argmax() == hertz
    assert power[hertz] > 0.99 * power.sum()


def test_echoes_follow_a_click_within_a_small_room() -> None:
    """Sound before the click, or after the longest delay, is ringing of the resampling: little."""
    clicks = [np.array([20_000], np.int16)] * 30
    places = np.random.default_rng(0)
    found = _room(clicks, SAMPLE_RATE_HZ, np.random.default_rng(0))
    scale = SAMPLE_RATE_HZ / espeak.SAMPLE_RATE_HZ
    starts = [int(np.flatnonzero(_place(click, espeak.SAMPLE_RATE_HZ, places))[0]) * scale for click in clicks]
    echoes = []
    for audio, start in zip(found, starts, strict=True):
        assert abs(int(np.abs(audio).argmax()) - start) <= 1
        power, first = audio.astype(float) ** 2, round(start)
        shortest, longest = (round(second * SAMPLE_RATE_HZ) for second in ECHO_DELAY_S)
        direct, later = power[first - 30 : first + 31].sum(), power[first + shortest - 5 : first + longest + 30].sum()
        assert direct + later > 0.97 * power.sum()
        echoes.append(later / direct)
    assert 0.03 < np.mean(echoes) < 0.2  # three of amplitude 0 to 0.3: 0.09 on average


def test_noises_have_their_colours() -> None:
    """Amplitudes fall with f to the power of 0 to 0.3, 0.4 to 0.7 and 0.9 to 1.2; mains hum has eight harmonics."""
    for seed in range(5):
        *coloured, hum = _noises(np.random.default_rng(seed))
        assert all(abs(float(noise.std()) - 1) < 1e-3 for noise in (*coloured, hum))
        hertz = np.fft.rfftfreq(len(hum), 1 / SAMPLE_RATE_HZ)
        bands = np.geomspace(40, 8000, 20)
        for noise, low in zip(coloured, (0.0, 0.4, 0.9), strict=True):
            power = np.abs(np.fft.rfft(noise)) ** 2
            means = [power[(a <= hertz) & (hertz < b)].mean() for a, b in pairwise(bands)]
            fall = -np.polyfit(np.log(bands[:-1]), np.log(means), 1)[0] / 2
            assert low - 0.05 < fall < low + 0.35
        power = np.abs(np.fft.rfft(hum)) ** 2
        share = max(sum(power[10 * mains * k] for k in range(1, 9)) for mains in (50, 60)) / power.sum()
        assert share > 0.8


def test_clips_are_as_loud_as_their_kind() -> None:
    """First the words with their labels, then silence: noise of a deviation between its bounds, about zero."""
    rng = np.random.default_rng(0)
    words = [rng.integers(-20_000, 20_000, 8000).astype(np.int16) for _ in range(46)]
    script = Script(["yes", "no"] * 3, [0, 1] * 3, ["babble"] * 40, silence=20)
    made = _record(script, words, 2, SAMPLE_RATE_HZ, rng)
    assert made.clips.labels.tolist() == [0, 1] * 3 + [2] * 20
    clips = np.stack(made.clips.read(0, 26)) / 32767
    assert clips.shape == (26, SAMPLE_RATE_HZ)
    assert made.seconds.tolist() == pytest.approx([8000 / espeak.SAMPLE_RATE_HZ] * 6)
    peaks, deviations = np.abs(clips[:6]).max(axis=1), clips[6:].std(axis=1)
    assert (SPEECH_LEVEL[0] < peaks).all()
    assert (peaks < 1.6 * SPEECH_LEVEL[1]).all()  # with noise on top
    assert (SILENCE_LEVEL[0] / 3 < deviations).all()
    assert (deviations < 3 * SILENCE_LEVEL[1]).all()
    assert np.abs(clips[6:].mean(axis=1)).max() < SILENCE_LEVEL[1]
    assert [float(noise.std()) for noise in made.noise] == pytest.approx([1] * 5, abs=1e-3)
