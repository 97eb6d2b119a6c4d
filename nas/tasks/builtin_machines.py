"""A small synthetic set of machine sounds, made by formulas: for trying the tool without a download, and for tests.

Four motors, each with its own speed and timbre, in noise; a broken one grinds (a second tone), knocks, or has lost some
of its harmonics.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nas.tasks import log_mel

BUILTIN_NOTICE = (
    "SYNTHETIC DATA: the machine sounds are tones and noise made by a program, not recordings.\n"
    "An AUC on it says nothing about real machines; for a real result use --data DIR with ToyADMOS or DCASE recordings."
)
NAME = "builtin-machines"
SEED = 20_200_301  # other sounds than another seed; DCASE 2020 opened on that day
MACHINES = (1, 2, 3, 4)
CLIPS_PER_MACHINE = {"train": (12, 0), "validation": (2, 2), "test": (3, 3)}  # normal and anomalous

SPEED_HZ = (87.0, 113.0, 141.0, 178.0)  # of the machines
JITTER = 0.01  # deviation of the speed from clip to clip, relative
HARMONICS = 24
TONE_LEVEL, NOISE_LEVEL = 0.05, 0.01  # of full scale
PERIOD = 4096  # steps of a period
GRINDING = 1.37  # fundamental of grinding, in multiples of the speed
FAULT_LEVEL = 0.5  # of the fault relative to the tones

Rng = np.random.Generator
Audio = npt.NDArray[np.float64]
TIME = np.arange(log_mel.STOP) / log_mel.SAMPLE_RATE_HZ  # s


def make_clips(split: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Spectrograms (clips, 200, 128), machines (clips,), and which of them are broken (clips,): always the same."""
    rng = np.random.default_rng([SEED, *split.encode()])
    kinds = [
        broken for broken, count in zip((False, True), CLIPS_PER_MACHINE[split], strict=True) for _ in range(count)
    ]
    clips = [(machine, broken) for machine in MACHINES for broken in kinds]
    sounds = np.stack([log_mel.log_mel(_sound(machine, broken, rng)) for machine, broken in clips])
    machines, broken = zip(*clips, strict=True)
    return sounds, np.array(machines), np.array(broken)


def _sound(machine: int, broken: bool, rng: Rng) -> Audio:
    """One clip of full scale 1."""
    speed = SPEED_HZ[machine - 1] * (1 + JITTER * rng.standard_normal())
    order = np.arange(1, HARMONICS + 1)
    level = np.abs(np.cos(machine * order)) / order**0.5  # the timbre of the machine
    fault = rng.choice(["grind", "knock", "lose"]) if broken else ""
    if fault == "lose":
        level[4::2] *= 1 - FAULT_LEVEL
    sound = TONE_LEVEL * _tone(speed, level, rng)
    if fault == "grind":
        sound += FAULT_LEVEL * TONE_LEVEL * _tone(GRINDING * speed, level, rng)
    noise = NOISE_LEVEL * rng.standard_normal(len(TIME))
    if fault == "knock":
        noise *= 1 + 4 * FAULT_LEVEL * (np.sin(2 * np.pi * speed / 20 * TIME) > 0.9)
    return rng.uniform(0.8, 1.25) * (sound + noise)


def _tone(hz: float, level: Audio, rng: Rng) -> Audio:
    """A fundamental and its harmonics, read from one period."""
    phase = rng.uniform(0, 2 * np.pi, len(level))
    angle = np.outer(2 * np.pi * np.arange(PERIOD) / PERIOD, np.arange(1, len(level) + 1))
    period: Audio = np.sin(angle + phase) @ level
    sound: Audio = period[(hz * PERIOD * TIME).astype(np.int64) % PERIOD]
    return sound
