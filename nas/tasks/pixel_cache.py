"""Pixels of images in folders: decoded and resized once, and memory-mapped from then on.

An entry is laid out as in ``nas.tasks.feature_cache``; features are uint8 (n, h, w, c). Images lie in a random order
that is always the same, so that the first ones of a split are of every class.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nas.errors import DataError
from nas.tasks.base import DataSet, Progress, Split, TrainingSplit, fingerprint
from nas.tasks.feature_cache import cached_entry, create_array, write_meta
from nas.tasks.image_folders import Classes, Inventory, hold_out_missing
from nas.tasks.sources import user_cache

if TYPE_CHECKING:
    from PIL import Image

VERSION = 1  # raise it whenever the pixels of the same image change
CHUNK_IMAGES = 256
MOST_PIXELS = 1 << 26  # of one image: 8,192 x 8,192, far above what is left of it; a header can claim billions
MOST_SIDE = 1 << 16  # as in a JPEG file; Pillow has a pointer for each row, more than the pixels of narrow ones
SEED = 20_140_501  # of the order; the day of arXiv:1405.0312, COCO
# What Pillow's readers end in where a damaged file leads them; a chunk may claim gigabytes.
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError)

Shape = tuple[int, int, int]
Pixels = npt.NDArray[np.uint8]


def load_images(
    name: str, inventory: Inventory, shape: Shape, cache_dir: Path | None, progress: Progress | None
) -> DataSet:
    """Give the images of a data set as pixels of one shape (h, w, c), from the cache where they are there already.

    Raises:
        DataError: an image is damaged, or the cache folder cannot be written.
    """
    content = json.dumps([VERSION, SEED, shape, name, inventory.content])
    root = cache_dir if cache_dir is not None else user_cache() / "features"
    entry = root / hashlib.sha256(content.encode()).hexdigest()[:20]
    return cached_entry(entry, lambda folder: _write(folder, name, hold_out_missing(inventory), shape, progress))


def read_image(path: Path, shape: Shape) -> Pixels:
    """Read one image as (h, w, c): grey for one channel, else RGB; see ``decoded_image``.

    It is resized to the shape, which need not keep its proportions, by Pillow's bilinear filter, whose triangle grows
    with the reduction, so that nothing aliases. The benchmark's images were made by a reduction of that kind too
    (scikit-image, a Gaussian before a bilinear one). An image that has the size already is taken as it is.

    Raises:
        DataError: damaged, no image, or pixels of 32 bits.
    """
    from PIL import Image

    height, width, channels = shape
    with decoded_image(path, "L" if channels == 1 else "RGB") as image:
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)).reshape(shape)


@contextmanager
def decoded_image(path: Path, mode: str) -> Iterator[Image.Image]:
    """Read one image in its own size, turned upright as its EXIF data say, without transparency.

    Threads wait until there is room for it: all that are in use at once have no more pixels than one may have.

    Args:
        path: of the file.
        mode: ``"L"`` for grey, or ``"RGB"``.

    Raises:
        DataError: damaged, no image, or pixels of 32 bits.
    """
    from PIL import Image, ImageOps

    with ExitStack() as room:
        try:
            with Image.open(path) as opened:
                pixels = opened.width * opened.height
                if pixels > MOST_PIXELS or max(opened.size) > MOST_SIDE:
                    raise ValueError(
                        f"it has {opened.width:,} x {opened.height:,} pixels, at most {MOST_PIXELS:,} may be, "
                        f"{MOST_SIDE:,} on a side"
                    )
                room.enter_context(ROOM.of(pixels))
                ImageOps.exif_transpose(opened, in_place=True)  # else it is copied where it stands upright, too
                image = _as_bytes(opened, mode)
                if image is not opened:
                    opened.close()  # the pixels, not only the file, of the largest one a quarter GiB
        except (*DAMAGE, Image.DecompressionBombError) as error:
            reason = str(error) or type(error).__name__
            raise DataError(f"{path}: not an image that can be read ({reason}); repair it or take it away") from error
        yield image


class Room:
    """Room for a number of pixels, which threads share."""

    def __init__(self, pixels: int) -> None:
        self._free, self._changed = pixels, Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Wait until so many are free, and keep them."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


ROOM = Room(MOST_PIXELS)


def resize_all(images: Pixels, shape: Shape) -> Pixels:
    """Give RGB images (n, h, w, 3) another shape, as ``read_image`` does."""
    from PIL import Image

    height, width, channels = shape
    mode = "L" if channels == 1 else "RGB"
    resized = [
        Image.fromarray(image).convert(mode).resize((width, height), Image.Resampling.BILINEAR) for image in images
    ]
    return np.stack([np.asarray(image).reshape(shape) for image in resized])


def _as_bytes(image: Image.Image, mode: str) -> Image.Image:
    """Any kind of image with pixels of ``mode``, 8 bits for each channel."""
    from PIL import Image

    if image.mode.startswith("I;16"):  # of which Pillow would cut off everything above 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("its pixels have 32 bits, expected 8 or 16")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)


def _write(folder: Path, name: str, inventory: Inventory, shape: Shape, progress: Progress | None) -> None:
    arrays = {
        split: _write_split(folder, split, inventory.splits[split], shape, progress)
        for split in ("validation", "test", "train")
    }
    (train, train_labels), validation, test = arrays["train"], Split(*arrays["validation"]), Split(*arrays["test"])
    content = fingerprint(TrainingSplit(train, train_labels), validation, test)
    write_meta(folder, name, False, inventory.classes, inventory.notes, content)


def _write_split(
    folder: Path, split: str, classes: Classes, shape: Shape, progress: Progress | None
) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """Write pixels and labels of one split, a chunk of images at a time."""
    files = [(file.path, label) for label, found in enumerate(classes.values()) for file in found]
    files = [files[row] for row in np.random.default_rng(SEED).permutation(len(files))]
    labels = np.array([label for _, label in files], np.int64)
    np.save(folder / f"{split}_labels.npy", labels)
    variants = (1,) if split == "train" else ()
    pixels = create_array(folder / f"{split}.npy", np.uint8, (*variants, len(files), *shape))
    rows = pixels.reshape(len(files), *shape)
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), CHUNK_IMAGES):
            paths = [path for path, _ in files[start : start + CHUNK_IMAGES]]
            for row, image in enumerate(pool.map(partial(read_image, shape=shape), paths), start):
                rows[row] = image
            if progress:
                progress(f"{split} images", start + len(paths), len(files))
    return pixels, labels
