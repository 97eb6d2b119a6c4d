"""CIFAR-10 in its official layout for Python (Krizhevsky, Learning multiple layers of features from tiny images, 2009).

    <root>/cifar-10-batches-py/data_batch_1 ... data_batch_5   10,000 training images each
                               test_batch                      10,000 test images
                               batches.meta                    names of the classes; may be missing

Each batch is the pickle of a dictionary: ``data`` uint8 (n, 3072), the red, green and blue plane of each image, row by
row; ``labels`` n numbers from 0 to 9.

The archive has no validation split. Here a tenth of each class is held out of the training images, 5,000 in all:
those with the smallest SHA-256 of their pixels. So the split depends on the images alone, neither on their order
nor on how they are divided among files.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import DataError
from nas.tasks.base import DataSet, Labels, Progress, Split, TrainingSplit, fingerprint
from nas.tasks.cifar10_pickle import read_pickle

FOLDER, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"
TRAINING_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_FILE, META_FILE = "test_batch", "batches.meta"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")  # in label order
IMAGE_SHAPE = (32, 32, 3)
IMAGE_BYTES = 32 * 32 * 3
OFFICIAL_COUNTS = (50_000, 10_000)  # images for training and for testing
TRAINING_PER_VALIDATION = 10  # images of the archive's training part of which one is held out

Images = npt.NDArray[np.uint8]


def find_batches(root: Path) -> Path:
    """Find the folder of the batches: ``root`` itself or the official folder in it.

    Raises:
        DataError: batches are missing, or something else is there.
    """
    folder = root / FOLDER if (root / FOLDER).is_dir() else root
    batches = (*TRAINING_FILES, TEST_FILE)
    missing = [name for name in batches if not (folder / name).is_file()]
    if len(missing) == len(batches):
        raise DataError(_wrong_layout(folder))
    if missing:
        raise DataError(f"{folder}: {', '.join(missing)} missing; unpack the official {ARCHIVE} again")
    return folder


def count_training_images(root: Path) -> int:
    """Count the images that are left to train on."""
    folder = find_batches(root)
    labels = np.concatenate([read_batch(folder / name)[1] for name in TRAINING_FILES])
    return len(labels) - int(_held_out_counts(folder, labels).sum())


def read_cifar10(root: Path, progress: Progress | None = None) -> DataSet:
    """Read the whole data set; features are the pixels, uint8 from 0 to 255, channels last.

    Raises:
        DataError: not CIFAR-10, or damaged.
    """
    batches = read_batches(root, progress)
    test = Split(*batches.pop(TEST_FILE))
    images, labels = (np.concatenate(parts) for parts in zip(*batches.values(), strict=True))
    held_out = choose_validation(images, labels)
    train = TrainingSplit(images[~held_out][np.newaxis], labels[~held_out])
    validation = Split(images[held_out], labels[held_out])
    return DataSet(
        "cifar10",
        False,
        CLASSES,
        train,
        validation,
        test,
        _notes(len(images), len(test)),
        fingerprint(train, validation, test),
    )


def read_batches(root: Path, progress: Progress | None = None) -> dict[str, tuple[Images, Labels]]:
    """Read every file, see ``read_batch``; by name, that for testing last.

    Raises:
        DataError: not CIFAR-10, or damaged.
    """
    folder = find_batches(root)
    _check_classes(folder)
    batches = {}
    for done, name in enumerate((*TRAINING_FILES, TEST_FILE), 1):
        batches[name] = read_batch(folder / name)
        if progress:
            progress("reading CIFAR-10", done, len(TRAINING_FILES) + 1)
    _held_out_counts(folder, np.concatenate([batches[name][1] for name in TRAINING_FILES]))
    return batches


def read_batch(path: Path) -> tuple[Images, Labels]:
    """Read one file: images (n, 32, 32, 3) and labels (n,).

    Raises:
        DataError: unreadable, arrays of another shape, or labels that are no classes of CIFAR-10.
    """
    batch = read_pickle(path)
    if b"data" not in batch or b"labels" not in batch:
        keys = ", ".join(sorted(map(_text, batch))) or "nothing"
        other = "; this is CIFAR-100, give CIFAR-10" if b"fine_labels" in batch else ""
        raise DataError(f"{path}: found {keys}, expected data and labels as in CIFAR-10{other}")
    pixels, labels = batch[b"data"], batch[b"labels"]
    if not isinstance(pixels, np.ndarray) or pixels.shape[1:] != (IMAGE_BYTES,) or not len(pixels):
        found = getattr(pixels, "shape", type(pixels).__name__)
        raise DataError(f"{path}: data is {found}, expected uint8 (images, {IMAGE_BYTES:,})")
    _check_labels(path, labels, len(pixels))
    height, width, channels = IMAGE_SHAPE
    planes = pixels.reshape(-1, channels, height, width)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), np.array(labels, np.int64)


def choose_validation(images: Images, labels: Labels) -> npt.NDArray[np.bool_]:
    """Mark (n,) the tenth of each class that is held out; see the top of this file."""
    digests = b"".join(hashlib.sha256(image).digest()[:8] for image in images)
    order = np.argsort(np.frombuffer(digests, ">u8"), kind="stable")
    held_out = np.zeros(len(labels), np.bool_)
    for label in range(len(CLASSES)):
        rows = order[labels[order] == label]
        held_out[rows[: len(rows) // TRAINING_PER_VALIDATION]] = True
    return held_out


def _held_out_counts(folder: Path, labels: Labels) -> npt.NDArray[np.int64]:
    """Images of each class that are held out: at least one."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    if counts.min() < TRAINING_PER_VALIDATION:
        raise DataError(
            f"{folder}: {counts.min()} training images of {CLASSES[counts.argmin()]!r}, "
            f"expected at least {TRAINING_PER_VALIDATION}: one in {TRAINING_PER_VALIDATION} is held out for validation"
        )
    return np.asarray(counts // TRAINING_PER_VALIDATION, np.int64)


def _check_labels(path: Path, labels: Any, count: int) -> None:
    if not isinstance(labels, list) or len(labels) != count or {type(label) for label in labels} != {int}:
        found = f"{len(labels)} entries" if isinstance(labels, list) else f"a {type(labels).__name__}"
        raise DataError(f"{path}: labels are {found}, expected a list of {count:,} whole numbers, one per image")
    wrong = next((row for row, label in enumerate(labels) if not 0 <= label < len(CLASSES)), None)
    if wrong is not None:
        raise DataError(f"{path}: label {labels[wrong]} of image {wrong}, expected 0 to {len(CLASSES) - 1} in CIFAR-10")


def _check_classes(folder: Path) -> None:
    """Hold the names of the classes, where the folder has them, against those of the benchmark."""
    path = folder / META_FILE
    if not path.is_file():
        return
    names = read_pickle(path).get(b"label_names")
    found = [_text(name) for name in names] if isinstance(names, list) else []
    if found != list(CLASSES):
        some = ", ".join(found[:4]) or "none"
        raise DataError(f"{path}: {len(found)} classes ({some}, ...), expected those of CIFAR-10: {', '.join(CLASSES)}")


def _notes(training: int, test: int) -> tuple[str, ...]:
    if (training, test) == OFFICIAL_COUNTS:
        return ()
    official = " and ".join(f"{count:,}" for count in OFFICIAL_COUNTS)
    return (f"not the whole of CIFAR-10: {training:,} images for training and {test:,} for testing, not {official}",)


def _wrong_layout(folder: Path) -> str:
    around = [folder.resolve().parent, *sorted(folder.glob(f"*/{FOLDER}")), *sorted(folder.glob("*"))]
    near = next((other for other in around if (other / TEST_FILE).is_file()), None)
    if near:
        return f"{folder}: no batches of CIFAR-10 here; the data set seems to be in {near}"
    found = {path.name for path in folder.iterdir()}
    what = f"found {', '.join(sorted(found)[:5])}" if found else "the folder is empty"
    if ARCHIVE in found:
        what += f"; unpack it with: tar xzf {folder / ARCHIVE}"
    elif "data_batch_1.bin" in found:
        what += f"; this is the binary version, take the one for Python, {ARCHIVE}"
    elif {"train", "test", "meta"} <= found:
        what += f"; this looks like CIFAR-100, take {ARCHIVE}"
    return f"{folder}: not CIFAR-10, which has {TRAINING_FILES[0]} to {TRAINING_FILES[-1]} and {TEST_FILE}: {what}"


def _text(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else type(name).__name__
