"""Audio of a speech data set before features: reading clips, fitting them to a second, varying them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import DataError
from nas.tasks.base import Labels
from nas.tasks.holding_out import speaker_of
from nas.tasks.mfcc import CLIP_SAMPLES, SAMPLE_RATE_HZ

Samples = npt.NDArray[np.int16]
Audio = npt.NDArray[np.float32]

# Recipe of the benchmark's training script (mlcommons/tiny, keyword_spotting/kws_util.py).
MAX_SHIFT_SAMPLES = SAMPLE_RATE_HZ // 10  # 100 ms either way
NOISE_PROBABILITY = 0.8
MAX_NOISE_VOLUME = 0.1

SAMPLES_PER_BYTE = 64  # more than any speech codec in a wav file has
WINDOWS_TOGETHER = 16  # windows of recordings, that follow one another, in a group
READERS = 4  # threads; decoding leaves the interpreter lock


@dataclass(frozen=True, slots=True)
class Clips:
    """Audio of one split: labels (n,), and ``read(start, stop)`` for those clips, 16 kHz, of any length.

    ``groups`` (n,) are equal for clips that belong together, such as those of one speaker; ``None``: no two do.
    """

    labels: Labels
    read: Callable[[int, int], Sequence[Samples]]
    groups: Labels | None = None

    @property
    def numbered_groups(self) -> Labels:
        """The group of each clip (n,), from 0, also where each is one by itself."""
        return np.arange(len(self.labels)) if self.groups is None else np.unique(self.groups, return_inverse=True)[1]


@dataclass(frozen=True, slots=True)
class AudioSet:
    """A speech data set as audio; ``noise`` (full scale is 1) may be mixed into training clips."""

    name: str
    synthetic: bool
    classes: tuple[str, ...]
    train: Clips
    validation: Clips
    test: Clips
    noise: tuple[Audio, ...]
    notes: tuple[str, ...]


def lazy_clips(sources: Sequence[Path | Samples], labels: Labels, read: Callable[[Path], Samples]) -> Clips:
    """Clips of files, read when they are asked for, and of samples that are there already.

    Files whose names tell of one speaker belong together, and so do samples that follow one another: windows of a
    recording overlap.
    """

    def read_some(start: int, stop: int) -> list[Samples]:
        with ThreadPoolExecutor(READERS) as pool:
            return list(
                pool.map(lambda source: read(source) if isinstance(source, Path) else source, sources[start:stop])
            )

    names = [_group(source, place) for place, source in enumerate(sources)]
    return Clips(labels, read_some, np.unique(names, return_inverse=True)[1] if names else None)


def _group(source: Path | Samples, place: int) -> str:
    if isinstance(source, Path):
        return f"speaker {speaker}" if (speaker := speaker_of(source.stem)) else f"file {source}"
    return f"windows {place // WINDOWS_TOGETHER}"


def joined(parts: Sequence[Clips]) -> Clips:
    """Several lots of clips as one, in this order."""
    ends = np.cumsum([len(part.labels) for part in parts])

    def read(start: int, stop: int) -> list[Samples]:
        some: list[Samples] = []
        for part, end in zip(parts, ends, strict=True):
            begin = end - len(part.labels)
            some += part.read(max(start - begin, 0), max(stop - begin, 0))
        return some

    groups, known = list[Labels](), 0
    for part in parts:
        groups.append(part.numbered_groups + known)
        known += len(part.labels)
    return Clips(np.concatenate([part.labels for part in parts]), read, np.concatenate(groups))


def selected(clips: Clips, rows: npt.NDArray[np.integer[Any]]) -> Clips:
    """Some of the clips, read one by one."""
    return Clips(
        clips.labels[rows],
        lambda start, stop: [clips.read(row, row + 1)[0] for row in rows[start:stop].tolist()],
        clips.numbered_groups[rows],
    )


def full_scale(samples: Samples) -> Audio:
    """Samples as floats, full scale 1."""
    return samples.astype(np.float32) / np.float32(32768)


def read_wav(path: Path) -> Samples:
    """Read a mono 16 kHz file.

    Raises:
        DataError: unreadable, of another rate, with more channels, or empty; names the file.
    """
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            require_room(path, file.frames * file.channels)
            rate, channels = file.samplerate, file.channels
            samples: Samples = file.read(dtype="int16")
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(f"{path}: not a readable wav file ({error}); remove it or unpack it again") from error
    if rate != SAMPLE_RATE_HZ or channels != 1:
        raise DataError(
            f"{path}: found {rate} Hz and {channels} channel(s), expected {SAMPLE_RATE_HZ} Hz mono; "
            f"convert with: sox IN.wav -r {SAMPLE_RATE_HZ} -c 1 -b 16 OUT.wav"
        )
    if not len(samples):
        raise DataError(f"{path}: holds no samples; remove it or unpack it again")
    return samples


def require_room(path: Path, samples: int) -> None:
    """Refuse a header that claims more samples than its file can hold, before memory is taken for them.

    Raises:
        DataError: names the file.
    """
    if samples > SAMPLES_PER_BYTE * (size := path.stat().st_size):
        raise DataError(f"{path}: claims {samples:,} samples in {size:,} bytes; remove it or write it again")


def fixed_length(clips: Sequence[Samples], length: int = CLIP_SAMPLES) -> Samples:
    """Stack clips as (n, length): a shorter one gets zeros at its end, a longer one keeps its beginning.

    Zeros as in the benchmark; the first second as TensorFlow's ``decode_wav(desired_samples=16000)`` does.
    """
    stacked = np.zeros((len(clips), length), np.int16)
    for row, clip in zip(stacked, clips, strict=True):
        kept = clip[:length]
        row[: len(kept)] = kept
    return stacked


def vary(audio: Audio, noise: Sequence[Audio], rng: np.random.Generator) -> Audio:
    """Shift each clip (n, samples) by up to 100 ms and mix noise into most; the noise is not rescaled.

    The sum is not clipped to full scale, because the benchmark's evaluation clips are not either.
    """
    padded = np.pad(audio, ((0, 0), (MAX_SHIFT_SAMPLES, MAX_SHIFT_SAMPLES)))
    start = rng.integers(0, 2 * MAX_SHIFT_SAMPLES, size=len(audio), endpoint=True)
    windows = np.lib.stride_tricks.sliding_window_view(padded, audio.shape[1], axis=1)
    shifted: Audio = windows[np.arange(len(audio)), start]
    if not noise:
        return shifted
    volume = rng.uniform(0, MAX_NOISE_VOLUME, len(audio)) * (rng.random(len(audio)) < NOISE_PROBABILITY)
    shifted += volume.astype(np.float32)[:, None] * random_windows(noise, len(audio), rng, audio.shape[1])
    return shifted


def random_windows(
    recordings: Sequence[Audio], count: int, rng: np.random.Generator, length: int = CLIP_SAMPLES
) -> Audio:
    """Cut (count, length) windows out of recordings that are no shorter, every start equally likely."""
    starts = [len(recording) - length + 1 for recording in recordings]
    position = rng.integers(0, sum(starts), size=count)
    ends = np.cumsum(starts)
    which = np.searchsorted(ends, position, side="right")
    cut = np.empty((count, length), np.float32)
    for row, index, end in zip(cut, which, ends[which] - position, strict=True):
        begin = starts[index] - end
        row[:] = recordings[index][begin : begin + length]
    return cut
