"""Images in folders by class, with or without folders of splits above them.

    <root>/train/<class>/*.jpg          or    <root>/<class>/*.jpg
           val/<class>/*.jpg            also called validation
           test/<class>/*.jpg

Every format that Pillow reads counts, in folders below a class too. Hidden files and folders, other files, and what
lies beside the splits or above the classes is left out.

A split that is missing is held out of the training images: of each class a tenth, at least one image, those with the
smallest SHA-256 of their file. So the split depends on the images alone, and copies of one image fall into the same.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path

from nas.errors import DataError
from nas.tasks.file_names import require_showable

SPLITS = {"train": ("train",), "validation": ("val", "validation"), "test": ("test",)}  # and the names of their folders
IMAGES_PER_HELD_OUT = 10  # of a class, of which one is held out for each split that is missing
IGNORED = (".", "__")  # first characters of hidden folders, caches and what macOS packs beside files


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image on the disk; size and time tell whether it has changed."""

    path: Path
    size_bytes: int
    modified_ns: int


Classes = Mapping[str, tuple[ImageFile, ...]]  # name of the class -> its images, by path


@dataclass(frozen=True, slots=True)
class Inventory:
    """The images of a data set by split and class."""

    root: Path
    classes: tuple[str, ...]
    splits: Mapping[str, Classes]
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Splits that are to be held out of the training images."""
        return tuple(split for split in SPLITS if split not in self.splits)

    @property
    def training_images(self) -> int:
        """Images left to train on once the missing splits are held out; copies of one image may shift it by some."""
        counts = [len(files) for files in self.splits["train"].values()]
        return sum(count - len(self.missing) * held_out_count(count) for count in counts)

    @property
    def content(self) -> object:
        """What identifies the images, json-able."""
        return [
            [split, name, str(file.path.relative_to(self.root)), file.size_bytes, file.modified_ns]
            for split, classes in self.splits.items()
            for name, files in classes.items()
            for file in files
        ]


def held_out_count(count: int) -> int:
    """How many of a class's ``count`` images a missing split gets."""
    return max(1, count // IMAGES_PER_HELD_OUT)


def find_classes(root: Path) -> tuple[str, ...]:
    """Name the classes of a data set, sorted.

    Raises:
        DataError: fewer than two.
    """
    folder = _split_folders(root)["train"]
    names = tuple(path.name for path in _folders(folder))
    if len(names) < 2:
        found = f"one class, {names[0]}" if names else f"no folders but {len(_files(folder)):,} files"
        raise DataError(
            f"{folder}: found {found}, expected a folder of images for each of two or more classes: "
            f"{folder.name}/cat/*.jpg, {folder.name}/dog/*.jpg"
        )
    return names


def take_inventory(root: Path, classes: tuple[str, ...]) -> Inventory:
    """List the images of every split that is there, without reading them.

    Raises:
        DataError: other classes, or one without enough images.
    """
    splits = {split: _list_classes(folder, classes) for split, folder in _split_folders(root).items()}
    inventory = Inventory(root, classes, splits)
    least = 1 + len(inventory.missing)
    for name, files in splits["train"].items():
        if len(files) < least:
            missing = " and ".join(inventory.missing)
            raise DataError(
                f"{root}: class {name} has {len(files)} training images, expected at least {least}: "
                f"one each is held out for {missing}"
            )
    return inventory


def hold_out_missing(inventory: Inventory) -> Inventory:
    """Move a part of the training images into the splits that are missing; see the top of this file.

    Raises:
        DataError: an image cannot be read, or a class has nothing but copies of too few images.
    """
    if not inventory.missing:
        return inventory
    splits: dict[str, dict[str, tuple[ImageFile, ...]]] = {split: {} for split in SPLITS}
    for split, classes in inventory.splits.items():
        splits[split] = dict(classes)
    for name, files in inventory.splits["train"].items():
        parts = _divide(files, len(inventory.missing))
        if parts is None:
            raise DataError(f"{inventory.root}: class {name} has too few different images to divide into splits")
        splits["train"][name], *held_out = parts
        for split, part in zip(inventory.missing, held_out, strict=True):
            splits[split][name] = part
    counts = " and ".join(f"{sum(map(len, splits[split].values())):,} for {split}" for split in inventory.missing)
    note = f"held out of the training images by a hash of each file, a tenth of each class: {counts}"
    return replace(inventory, splits=splits, notes=(*inventory.notes, note))


def _divide(files: tuple[ImageFile, ...], parts: int) -> list[tuple[ImageFile, ...]] | None:
    """What is left of a class, then the parts held out; ``None`` where nothing would be left."""
    digests = {file: _digest(file.path) for file in files}
    copies = [tuple(same) for _, same in groupby(sorted(files, key=digests.__getitem__), digests.__getitem__)]
    held_out = []
    for _ in range(parts):
        part: list[ImageFile] = []
        while copies and len(part) < held_out_count(len(files)):
            part += copies.pop(0)
        held_out.append(_by_path(part))
    rest = _by_path([file for same in copies for file in same])
    return [rest, *held_out] if rest else None


def _split_folders(root: Path) -> dict[str, Path]:
    """Folder of each split that is there. A ``train`` without folders in it is a class of that name."""
    found = {split: root / name for split, names in SPLITS.items() for name in names if _folders(root / name)}
    if found and "train" not in found:
        raise DataError(f"{root}: found {', '.join(path.name for path in found.values())} but no train with classes")
    return found or {"train": root}


def _list_classes(folder: Path, classes: tuple[str, ...]) -> dict[str, tuple[ImageFile, ...]]:
    found = [path.name for path in _folders(folder)]
    if unknown := sorted(set(found) - set(classes)):
        raise DataError(f"{folder}: class {unknown[0]} is unknown here; the classes are {', '.join(classes)}")
    images = {name: _images(folder / name) for name in classes}
    for name, files in images.items():
        if not files:
            what = "holds no images" if name in found else f"is missing; found {', '.join(found) or 'no folders'}"
            raise DataError(f"{folder}: class {name} {what}; the classes are {', '.join(classes)}")
    return images


def _images(folder: Path) -> tuple[ImageFile, ...]:
    known, found = _extensions(), list[ImageFile]()
    for entry in _walk(folder) if folder.is_dir() else ():
        if os.path.splitext(entry.name)[1].lower() in known:
            status = entry.stat()
            found.append(ImageFile(require_showable(Path(entry.path)), status.st_size, status.st_mtime_ns))
    return _by_path(found)


def _walk(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    for entry in os.scandir(folder):
        if entry.name.startswith(IGNORED):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif os.path.isfile(entry.path):  # false too for a link that leads round in circles
            yield entry


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(IGNORED))
    return [require_showable(path) for path in found]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


def _by_path(files: list[ImageFile]) -> tuple[ImageFile, ...]:
    return tuple(sorted(files, key=lambda file: file.path))


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


@cache
def _extensions() -> frozenset[str]:
    """Endings of the files that Pillow reads, in small letters, with their dot."""
    from PIL import Image

    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in Image.OPEN)
