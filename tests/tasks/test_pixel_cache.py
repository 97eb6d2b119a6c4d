from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_images import write_image, write_images
from PIL import Image

from nas.errors import DataError
from nas.tasks.base import DataSet
from nas.tasks.image_folders import take_inventory
from nas.tasks.pixel_cache import load_images, read_image, resize_all

CLASSES = ("cat", "dog")
SHAPE = (12, 10, 3)


def load(root: Path, shape: tuple[int, int, int] = SHAPE) -> tuple[DataSet, list[tuple[str, int, int]]]:
    """The data set, and what was told of the work."""
    told: list[tuple[str, int, int]] = []
    data = load_images(
        "pets", take_inventory(root, CLASSES), shape, root.parent / "cache", lambda *work: told.append(work)
    )
    return data, told


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp"])
def test_an_image_of_the_right_size_is_taken_as_it_is(tmp_path: Path, ending: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"image.{ending}", **({"lossless": True} if ending == "webp" else {}))
    np.testing.assert_array_equal(read_image(tmp_path / f"image.{ending}", SHAPE), pixels)


def test_grey_is_the_usual_mixture_and_grey_images_become_coloured(tmp_path: Path) -> None:
    pixels = write_image(tmp_path / "rgb.png")
    grey = read_image(tmp_path / "rgb.png", (12, 10, 1))
    assert grey.shape == (12, 10, 1)
    np.testing.assert_allclose(grey[:, :, 0], pixels @ [0.299, 0.587, 0.114], atol=0.51)  # ITU-R BT.601
    pixels = write_image(tmp_path / "grey.png", shape=(12, 10))
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png", SHAPE), np.stack(3 * [pixels], axis=2))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=20)
def test_nothing_aliases(tmp_path_factory: pytest.TempPathFactory, tall: int, wide: int, seed: int) -> None:
    """Fine stripes become grey, as they would not by taking each n-th pixel; the mean stays."""
    path = tmp_path_factory.mktemp("images") / "stripes.png"
    stripes = np.zeros((16 * tall, 16 * wide, 3), np.uint8)
    stripes[seed % 2 :: 2] = 200
    Image.fromarray(stripes).save(path)
    found = read_image(path, (8, 8, 3)).astype(int)
    assert abs(found[1:-1] - 100).max() <= 34
    assert abs(found.mean() - 100) < 3


def test_resizing_is_that_of_a_triangle_twice_as_wide() -> None:
    """Half the size: weights 1, 3, 3, 1, which at the border are cut off and shared out again."""
    image = np.zeros((1, 1, 8, 3), np.uint8)
    image[0, 0, 2:4] = 80
    assert resize_all(image, (1, 4, 1)).ravel().tolist() == [round(80 / 7), 60, 10, 0]


def test_unusual_images(tmp_path: Path) -> None:
    """16 bits, a palette with transparency, and a photograph that lies on its side."""
    deep = np.random.default_rng(0).integers(0, 2**16, (12, 10)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png", (12, 10, 1))[:, :, 0], deep >> 8)
    pixels = write_image(tmp_path / "opaque.png")
    Image.fromarray(pixels).quantize(8).save(tmp_path / "palette.png", transparency=b"\x00\x80")
    expected = np.asarray(Image.fromarray(pixels).quantize(8).convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png", SHAPE), expected)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned by a quarter, clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "turned.png", (10, 12, 3)), np.rot90(pixels, -1))


def test_a_damaged_image_is_named_and_leaves_no_entry(tmp_path: Path) -> None:
    root = write_images(tmp_path / "pets", CLASSES, 5)
    whole = (root / "cat" / "003.png").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"no image", b""):
        (root / "cat" / "003.png").write_bytes(damaged)
        with pytest.raises(DataError, match=r"pets/cat/003\.png: not an image that can be read"):
            load(root)
        assert list((tmp_path / "cache").iterdir()) == []
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match=r"float\.tif: not an image .* 32 bits, expected 8 or 16"):
        read_image(tmp_path / "float.tif", SHAPE)


def test_pixels_are_decoded_once(tmp_path: Path) -> None:
    root = write_images(tmp_path / "pets", CLASSES, 30)
    data, told = load(root)
    again, idle = load(root)
    assert told == [("validation images", 6, 6), ("test images", 6, 6), ("train images", 48, 48)]
    assert idle == []
    assert data.summary() == again.summary()
    assert data.summary()["classes"] == ["cat", "dog"]
    assert isinstance(again.train.features, np.memmap)
    assert (again.train.features.shape, again.test.features.dtype) == ((1, 48, *SHAPE), np.uint8)
    assert load(root, (8, 8, 1))[1] != []
    write_image(root / "cat" / "000.png", seed=99_999)
    changed, told = load(root)
    assert told
    assert changed.fingerprint != data.fingerprint


def test_each_image_has_its_label_and_the_first_ones_are_of_every_class(tmp_path: Path) -> None:
    root = write_images(tmp_path / "pets", CLASSES, 40)
    data, _ = load(root)
    of = {read_image(path, SHAPE).tobytes(): CLASSES.index(path.parent.name) for path in root.rglob("*.png")}
    found: list[bytes] = []
    for split, features in (
        (data.train, data.train.features[0]),
        (data.validation, data.validation.features),
        (data.test, data.test.features),
    ):
        assert [of[image.tobytes()] for image in features] == split.labels.tolist()
        assert set(split.labels[:8].tolist()) == {0, 1}
        found += [image.tobytes() for image in features]
    assert sorted(found) == sorted(of)
