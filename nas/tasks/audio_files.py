"""The user's own wav files: any rate, any number of channels, any length, made into clips of 16 kHz."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from nas.errors import DataError
from nas.tasks.file_names import require_showable
from nas.tasks.mfcc import SAMPLE_RATE_HZ
from nas.tasks.waveform import READERS, Audio, Samples, require_room

RATES_HZ = (1_000, 768_000)  # of microphones; resampling takes memory in proportion


def list_wavs(folder: Path) -> list[Path]:
    """The wav files that lie directly in a folder, sorted by name."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".wav" and path.is_file())
    return [require_showable(path) for path in found]


def content_hashes(paths: Sequence[Path]) -> dict[Path, str]:
    """Hash of the bytes of each file: copies have the same, wherever they lie."""
    with ThreadPoolExecutor(READERS) as pool:
        hashes = pool.map(lambda path: hashlib.sha256(path.read_bytes()).hexdigest(), paths)
        return dict(zip(paths, hashes, strict=True))


def hash_names(root: Path, hashes: Mapping[Path, str]) -> str:
    """Identify a set of files by their names below ``root`` and what they hold."""
    listed = sorted((path.relative_to(root).as_posix(), content) for path, content in hashes.items())
    return hashlib.sha256(repr(listed).encode()).hexdigest()


def read_recording(path: Path) -> Audio:
    """Read a wav file as one channel at 16 kHz, full scale 1; louder float files are scaled down to it.

    Raises:
        DataError: unreadable or empty; names the file.
    """
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            require_room(path, file.frames * file.channels)
            rate, samples = file.samplerate, file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise DataError(f"{path}: not a readable wav file ({error}); remove it or write it again") from error
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        raise DataError(f"{path}: found {rate:,} Hz, expected {RATES_HZ[0]:,} to {RATES_HZ[1]:,}; write it again")
    if not len(samples) or not np.isfinite(samples).all():
        raise DataError(f"{path}: holds no samples, or such as are no numbers; remove it or write it again")
    audio = resample(samples.mean(axis=1), rate)
    peak = float(np.abs(audio).max())
    return audio / np.float32(peak) if peak > 1 else audio


def resample(audio: Audio, rate_hz: int) -> Audio:
    """Bring samples (n,) from any rate to 16 kHz by cutting or padding their spectrum.

    Zeros make them a whole number of periods that both rates share, so that every spectral line keeps its frequency.
    """
    if rate_hz == SAMPLE_RATE_HZ:
        return audio
    common = math.gcd(rate_hz, SAMPLE_RATE_HZ)
    step_in, step_out = rate_hz // common, SAMPLE_RATE_HZ // common
    periods = -(-len(audio) // step_in)
    before, after = periods * step_in, periods * step_out
    spectrum = np.fft.rfft(audio, n=before)[: after // 2 + 1]
    kept = -(-len(audio) * step_out // step_in)
    return np.asarray(np.fft.irfft(spectrum, n=after)[:kept] * (after / before), np.float32)


def fit(audio: Audio, length: int) -> Samples:
    """Make a clip (length,) of a recording: the loudest part of a longer one, a shorter one between zeros."""
    spare = length - len(audio)
    if spare < 0:
        energy = np.cumsum(np.concatenate([[0.0], audio.astype(np.float64) ** 2]))
        start = int((energy[length:] - energy[:-length]).argmax())
        audio = audio[start : start + length]
    else:
        audio = np.pad(audio, (spare // 2, spare - spare // 2))
    samples: Samples = np.rint(audio * np.float32(32768)).clip(-32768, 32767).astype(np.int16)
    return samples


def count_longer(paths: Sequence[Path], length: int) -> int:
    """Count the files that last longer than ``length`` samples at 16 kHz, by their headers; unreadable ones do not."""
    import soundfile

    def is_longer(path: Path) -> bool:
        try:
            found = soundfile.info(path)
        except (soundfile.SoundFileError, OSError):
            return False  # told when it is read
        return bool(found.frames * SAMPLE_RATE_HZ > length * found.samplerate)

    with ThreadPoolExecutor(READERS) as pool:
        return sum(pool.map(is_longer, paths))
