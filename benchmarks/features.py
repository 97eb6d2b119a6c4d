"""How far our features are from the benchmark's own evaluation files: largest difference, and share of equal values.

    python benchmarks/features.py --kws samples.npz --vww vww/ vww01/ --ic cifar10/ ic01/ --ad toycar/ ad01/

Each task takes a data set that holds the raw samples, and the benchmark's files of the same samples; for ``kws`` both
lie in one ``.npz``: ``flac``, one stream of clips of one second, and ``mfcc``, int8 (n, 49, 10). Differences are steps
of int8 or uint8 on the wire, for ``ad`` those of float32 log-mel values in dB.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from nas.tasks import get_task, load_evaluation_folder
from nas.tasks.mfcc import mfcc, normalize
from nas.tasks.toycar import read_clips, read_spectrogram, take_inventory


def kws(samples: Path) -> tuple[np.ndarray, np.ndarray]:
    """Our features of the clips, and the official ones."""
    official = np.load(samples)
    clips, _ = soundfile.read(io.BytesIO(official["flac"].tobytes()), dtype="int16")
    grid = get_task("kws").input_quantization
    features = mfcc(normalize(clips.reshape(-1, 16_000)))
    return grid.quantize(features).reshape(official["mfcc"].shape), official["mfcc"]


def pixels(task: str, data: Path, files: Path) -> tuple[np.ndarray, np.ndarray]:
    """Each official file, and the image of our test split that is nearest to it."""
    (wanted,) = load_evaluation_folder(files, get_task(task))
    test = get_task(task).load(data).test
    grid = get_task(task).input_quantization
    known = {grid.quantize(test.features[row : row + 1]).tobytes(): row for row in range(len(test))}
    rows = [known.get(image.tobytes(), 0) for image in wanted.inputs]
    return np.stack([grid.quantize(test.features[row : row + 1])[0] for row in rows]), wanted.inputs


def ad(data: Path, files: Path) -> tuple[np.ndarray, np.ndarray]:
    """Our spectrograms of the test clips, from wav where there is wav, and the official ones."""
    clips = take_inventory(data).test
    names = [clip.path.name.removesuffix(".wav").removesuffix("_hist_librosa.bin") for clip in clips]
    official = [read_spectrogram(files / f"{name}_hist_librosa.bin") for name in names]
    return read_clips(clips, "test", None), np.stack(official)


def main() -> None:
    """Compare what was given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kws", type=Path)
    for task in ("vww", "ic", "ad"):
        parser.add_argument(f"--{task}", type=Path, nargs=2, metavar=("DATA", "FILES"))
    asked = parser.parse_args()
    table = Table("task", "samples", "largest difference", "equal values")
    if asked.kws:
        _add(table, "kws", *kws(asked.kws))
    for task in ("vww", "ic"):
        if found := getattr(asked, task):
            _add(table, task, *pixels(task, *found))
    if asked.ad:
        _add(table, "ad", *ad(*asked.ad))
    Console().print(table)


def _add(table: Table, task: str, ours: np.ndarray, official: np.ndarray) -> None:
    difference = np.abs(ours.astype(np.float64) - official.astype(np.float64))
    table.add_row(task, f"{len(ours):,}", f"{difference.max():g}", f"{(difference == 0).mean():.2%}")


if __name__ == "__main__":
    main()
