"""Builtin machine sounds have the harmonics of their machine, and the faults that they are said to have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nas.tasks import builtin_machines
from nas.tasks.builtin_machines import FAULT_LEVEL, GRINDING, HARMONICS, SPEED_HZ, TIME, TONE_LEVEL, _sound

BANDS = range(1, 13)  # harmonics that are looked at


class Faulty(np.random.Generator):
    """Breaks machines in one way."""

    def __init__(self, fault: str) -> None:
        super().__init__(np.random.PCG64(0))
        self.fault = fault

    def choice(self, *_: Any, **__: Any) -> Any:
        return self.fault


@pytest.fixture(autouse=True)
def exact_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin_machines, "JITTER", 0.0)


def amplitudes(sound: np.ndarray, hertz: np.ndarray) -> np.ndarray:
    """Of tones at these frequencies."""
    return np.array([2 * abs(np.mean(sound * np.exp(-2j * np.pi * one * TIME))) for one in hertz])


def timbre(machine: int) -> np.ndarray:
    orders = np.array(BANDS)
    return TONE_LEVEL * np.abs(np.cos(machine * orders)) / np.sqrt(orders)


@pytest.mark.parametrize("machine", [1, 2, 3, 4])
def test_a_machine_has_the_harmonics_of_its_speed(machine: int) -> None:
    sound = _sound(machine, False, np.random.default_rng(0))
    found = amplitudes(sound, SPEED_HZ[machine - 1] * np.array(BANDS))
    loudness = found.sum() / timbre(machine).sum()
    assert 0.8 <= loudness <= 1.25
    np.testing.assert_allclose(found, loudness * timbre(machine), atol=0.03 * TONE_LEVEL)
    assert HARMONICS * max(SPEED_HZ) < 8000  # none is folded back
    assert abs(sound.mean()) < 1e-3


def test_a_machine_that_grinds_has_a_second_tone() -> None:
    sound = _sound(2, True, Faulty("grind"))
    own, second = (amplitudes(sound, speed * SPEED_HZ[1] * np.array(BANDS)) for speed in (1, GRINDING))
    assert second.sum() / own.sum() == pytest.approx(FAULT_LEVEL, rel=0.05)
    whole = _sound(2, True, Faulty("knock"))
    assert amplitudes(whole, GRINDING * SPEED_HZ[1] * np.array(BANDS)).sum() < 0.05 * own.sum()


def test_a_machine_that_lost_harmonics_has_less_of_every_second_one_from_the_fifth_on() -> None:
    lost, whole = (amplitudes(_sound(3, True, Faulty(fault)), SPEED_HZ[2] * np.array(BANDS)) for fault in ("lose", ""))
    share = lost / whole / (lost[0] / whole[0])
    strong = timbre(3) > 0.1 * TONE_LEVEL
    expected = np.where([order >= 5 and order % 2 for order in BANDS], 1 - FAULT_LEVEL, 1.0)
    np.testing.assert_allclose(share[strong], expected[strong], atol=0.1)


def test_a_machine_that_knocks_is_noisier_for_a_seventh_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in twenty turns, where a sine is above 0.9: for acos(0.9) / pi of the time, by 1 + 4 / 2."""
    monkeypatch.setattr(builtin_machines, "TONE_LEVEL", 0.0)
    knocks, plain = (_sound(1, True, Faulty(fault)) for fault in ("knock", ""))
    factor = knocks / plain
    factor /= np.median(factor)
    assert np.mean(factor > 2) == pytest.approx(np.arccos(0.9) / np.pi, rel=0.02)
    np.testing.assert_allclose(factor[factor > 2], 3, rtol=1e-9)
    starts = TIME[1:][np.diff((factor > 2).astype(int)) == 1]
    np.testing.assert_allclose(np.diff(starts), 20 / SPEED_HZ[0], atol=2 / 16_000)
