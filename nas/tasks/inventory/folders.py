"""Folders of classes, of images or of recordings, divided as the loaders divide them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nas.tasks import audio_folders, image_folders
from nas.tasks.audio_files import read_recording
from nas.tasks.base import Progress
from nas.tasks.holding_out import speaker_of
from nas.tasks.inventory.items import Content, Inspection, Place, content_of, read_items
from nas.tasks.mfcc import CLIP_SAMPLES, SAMPLE_RATE_HZ
from nas.tasks.pixel_cache import decoded_image


def inspect_images(
    root: Path,
    progress: Progress | None = None,
    *,
    classes: tuple[str, ...] = (),
    expected_size: tuple[int, int, int] | None = None,
) -> Inspection:
    """Read every image as RGB.

    Args:
        root: see ``image_folders`` for the layout.
        progress: told of long work.
        classes: names that the folders must have; any two or more where none are given.
        expected_size: height, width, channels that images are resized to.

    Raises:
        DataError: another layout, or a class without images.
    """
    found = image_folders.take_inventory(root, classes or image_folders.find_classes(root))
    found = image_folders.hold_out_missing(found)
    places = [
        Place(split, name, file.path.relative_to(root).as_posix())
        for split, listed in found.splits.items()
        for name, files in listed.items()
        for file in files
    ]
    items, unreadable = read_items(places, lambda place: _read_image(root / place.name), progress)
    required = dict.fromkeys(image_folders.SPLITS, found.classes)
    return Inspection(root.resolve().name, items, unreadable, required, expected_size, notes=found.notes)


def inspect_sounds(root: Path, progress: Progress | None = None) -> Inspection:
    """Read every recording as one channel at 16 kHz; see ``audio_folders`` for the layout.

    Raises:
        DataError: another layout, or a class with too few recordings.
    """
    found = audio_folders.read_folder(root)
    places = [
        Place(split, found.classes[label], path.relative_to(root).as_posix(), speaker_of(path.stem))
        for path, label, split in zip(found.files, found.labels, found.splits, strict=True)
    ]
    items, unreadable = read_items(places, lambda place: _read_recording(root / place.name), progress)
    required = dict.fromkeys(audio_folders.SPLITS, found.classes)
    window = CLIP_SAMPLES / SAMPLE_RATE_HZ
    return Inspection(root.resolve().name, items, unreadable, required, window, notes=found.notes)


def _read_image(path: Path) -> Content:
    with decoded_image(path, "RGB") as image:
        pixels = np.asarray(image)
        return content_of(pixels, pixels.shape)


def _read_recording(path: Path) -> Content:
    import soundfile

    audio = read_recording(path)
    return content_of(audio, len(audio) / SAMPLE_RATE_HZ, soundfile.info(path).samplerate)
