from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_cifar10 import python2_pickle, write_batch, write_cifar10, write_names

from nas.errors import DataError
from nas.tasks.cifar10 import (
    CLASSES,
    TRAINING_FILES,
    choose_validation,
    count_training_images,
    read_batch,
    read_cifar10,
)

PER_CLASS = 4  # images in each file: 20 of each class for training, of which 2 are held out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_cifar10(tmp_path / "data", PER_CLASS)


def test_classes_are_in_the_order_of_the_benchmark() -> None:
    assert " ".join(CLASSES) == "airplane automobile bird cat deer dog frog horse ship truck"


def test_every_image_is_in_one_split_and_keeps_its_label(folder: Path) -> None:
    data = read_cifar10(folder)
    assert data.train.features.shape == (1, 180, 32, 32, 3)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [180, 20, 40]
    assert {split.features.dtype for split in (data.train, data.validation, data.test)} == {np.dtype(np.uint8)}
    written = _labelled(*map(np.concatenate, zip(*(read_batch(folder / name) for name in TRAINING_FILES), strict=True)))
    read = _labelled(data.train.features[0], data.train.labels) + _labelled(
        data.validation.features, data.validation.labels
    )
    assert sorted(read) == sorted(written)
    assert not data.synthetic


def test_planes_become_pixels(tmp_path: Path) -> None:
    red_first_row = np.zeros(3072, np.uint8)
    red_first_row[:32] = np.arange(32)
    red_first_row[2 * 1024 + 33] = 200  # blue, second row, second column
    write_batch(tmp_path / "batch", red_first_row[np.newaxis], [6])
    ((image,), (label,)) = read_batch(tmp_path / "batch")
    assert label == 6
    assert image[0, :, 0].tolist() == list(range(32))
    assert image[1, 1].tolist() == [0, 0, 200]
    assert np.count_nonzero(image) == 32


def test_python_3_writes_the_same_in_another_way(folder: Path) -> None:
    images, labels = read_batch(folder / "test_batch")
    again = {b"data": images.transpose(0, 3, 1, 2).reshape(-1, 3072), b"labels": labels.tolist()}
    (folder / "test_batch").write_bytes(pickle.dumps(again, protocol=2))
    for read, expected in zip(read_batch(folder / "test_batch"), (images, labels), strict=True):
        np.testing.assert_array_equal(read, expected)


def test_arrays_in_columns_first_order(tmp_path: Path) -> None:
    data = np.arange(2 * 3072).reshape(2, 3072).astype(np.uint8)
    for name, order in (("rows", "C"), ("columns", "F")):
        (tmp_path / name).write_bytes(pickle.dumps({b"data": data.copy(order), b"labels": [0, 1]}, protocol=2))
    np.testing.assert_array_equal(read_batch(tmp_path / "rows")[0], read_batch(tmp_path / "columns")[0])


def test_the_folder_above_will_do_and_the_names_may_be_missing(folder: Path) -> None:
    expected = read_cifar10(folder).fingerprint
    (folder / "batches.meta").unlink()
    assert read_cifar10(folder.parent).fingerprint == expected


def test_the_fingerprint_is_of_the_content(folder: Path, tmp_path: Path) -> None:
    same, other = write_cifar10(tmp_path / "same", PER_CLASS), write_cifar10(tmp_path / "other", PER_CLASS, seed=1)
    assert read_cifar10(same).fingerprint == read_cifar10(folder).fingerprint != read_cifar10(other).fingerprint


def test_training_images_are_counted_as_they_are_read(folder: Path) -> None:
    assert count_training_images(folder) == len(read_cifar10(folder).train)


def test_a_part_of_the_set_is_no_official_result(folder: Path) -> None:
    assert read_cifar10(folder).notes == (
        "not the whole of CIFAR-10: 200 images for training and 40 for testing, not 50,000 and 10,000",
    )


def test_progress_is_told(folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    read_cifar10(folder, lambda *what: told.append(what))
    assert told == [("reading CIFAR-10", done, 6) for done in range(1, 7)]


@given(st.integers(0, 2**32), st.lists(st.integers(0, 9), min_size=1, max_size=120))
@settings(max_examples=25)
def test_the_split_depends_on_images_alone(seed: int, classes: list[int]) -> None:
    rng, labels = np.random.default_rng(seed), np.array(classes)
    images = rng.integers(0, 256, (len(labels), 32, 32, 3), np.uint8)
    held_out = choose_validation(images, labels)
    counts = np.bincount(labels, minlength=10)
    assert np.bincount(labels[held_out], minlength=10).tolist() == (counts // 10).tolist()
    order = rng.permutation(len(labels))
    np.testing.assert_array_equal(choose_validation(images[order], labels[order]), held_out[order])


def test_the_split_is_always_the_same() -> None:
    images = np.arange(20, dtype=np.uint8).repeat(3072).reshape(20, 32, 32, 3)
    assert np.flatnonzero(choose_validation(images, np.zeros(20, int))).tolist() == [8, 9]


IMAGES = np.zeros((10, 3072), np.uint8)
LABELS = list(range(10))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "data_batch_3").unlink(), "data_batch_3 missing; unpack the official"),
        (lambda root: (root / "test_batch").write_bytes(b""), "test_batch: not a readable CIFAR-10 file"),
        (lambda root: _cut(root / "data_batch_2"), "data_batch_2: not a readable CIFAR-10 file .* unpack"),
        (lambda root: (root / "test_batch").write_bytes(b"\x80\x02K\x01."), "test_batch: holds a int, expected a dict"),
        (lambda root: write_batch(root / "test_batch", IMAGES[:, :784], LABELS), r"\(10, 784\), expected uint8 \(im"),
        (lambda root: write_batch(root / "test_batch", IMAGES[:0], []), r"data is \(0, 3072\), expected"),
        (lambda root: write_batch(root / "test_batch", b"pixels", LABELS), "data is bytes, expected uint8"),
        (lambda root: write_batch(root / "test_batch", IMAGES.astype(np.float32), LABELS), "array of f4, expected u1"),
        (lambda root: write_batch(root / "test_batch", IMAGES, LABELS[1:]), "labels are 9 entries, expected .* 10"),
        (lambda root: write_batch(root / "test_batch", IMAGES, [b"0"] * 10), "labels are 10 entries, expected a list"),
        (lambda root: write_batch(root / "test_batch", IMAGES, 3), "labels are a int, expected a list"),
        (lambda root: write_batch(root / "test_batch", IMAGES, [0] * 9 + [10]), "label 10 of image 9, expected 0 to 9"),
        (lambda root: write_batch(root / "test_batch", IMAGES, [-1, *LABELS[1:]]), "label -1 of image 0"),
        (lambda root: write_names(root / "batches.meta", ["apple", "bear"]), r"2 classes \(apple, bear, ...\), exp"),
    ],
)  # fmt: skip
def test_damage_is_told_with_the_place(folder: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(folder)
    with pytest.raises(DataError, match=message) as caught:
        read_cifar10(folder)
    assert str(folder) in str(caught.value)
    assert str(caught.value).count("\n") <= 1


def test_too_few_images_of_a_class(folder: Path) -> None:
    for name in TRAINING_FILES:
        write_batch(folder / name, IMAGES, LABELS)
    for read in (read_cifar10, count_training_images):
        with pytest.raises(DataError, match=f"{folder}: 5 training images of 'airplane', expected at least 10"):
            read(folder)


def test_cifar_100_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "test_batch").write_bytes(python2_pickle({b"data": IMAGES, b"fine_labels": LABELS}))
    with pytest.raises(DataError, match=r"found data, fine_labels, expected .* this is CIFAR-100, give CIFAR-10"):
        read_cifar10(folder)
    for name in ("train", "test", "meta"):
        (tmp_path / "hundred" / name).mkdir(parents=True)
    with pytest.raises(DataError, match=r"found meta, test, train; this looks like CIFAR-100, take cifar-10-python"):
        read_cifar10(tmp_path / "hundred")


def test_the_data_set_is_looked_for_nearby(folder: Path) -> None:
    near = rf"the data set seems to be in {folder}$"
    (folder / "inner").mkdir()
    with pytest.raises(DataError, match=near):
        read_cifar10(folder / "inner")
    with pytest.raises(DataError, match=near):
        read_cifar10(folder.parent.parent)
    renamed = folder.rename(folder.with_name("cifar10"))
    with pytest.raises(DataError, match=rf"the data set seems to be in {renamed}$"):
        read_cifar10(renamed.parent)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "not CIFAR-10, which has data_batch_1 to data_batch_5 and test_batch: the folder is empty"),
        (["cifar-10-python.tar.gz"], "unpack it with: tar xzf .*/cifar-10-python.tar.gz"),
        (["data_batch_1.bin"], "the binary version, take the one for Python, cifar-10-python.tar.gz"),
        (["down.wav", "up.wav"], "found down.wav, up.wav$"),
    ],
)
def test_other_folders_are_told_apart(tmp_path: Path, files: list[str], message: str) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for name in files:
        (root / name).touch()
    with pytest.raises(DataError, match=message):
        read_cifar10(root)


def test_a_pickle_runs_nothing(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    harmful = pickle.dumps({b"data": _MakeFolder(trace), b"labels": LABELS}, protocol=2)
    pickle.loads(harmful)
    assert trace.exists()  # so it would do harm
    trace.rmdir()
    (folder / "test_batch").write_bytes(harmful)
    with pytest.raises(DataError, match=r"test_batch: .*it asks for .*, which no file of CIFAR-10 needs"):
        read_cifar10(folder)
    assert not trace.exists()


class _MakeFolder:
    """Makes a folder when it is read from a pickle, as a stranger's may do worse."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@given(st.data())
@settings(max_examples=200)
def test_a_damaged_file_is_read_or_told(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(python2_pickle({b"labels": LABELS, b"data": IMAGES}))
    head = st.integers(0, len(content) - IMAGES.size)  # most of the rest are pixels, which may have any value
    for place in data.draw(st.lists(head, min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        images, labels = read_batch(path)
        assert images.shape == (len(labels), 32, 32, 3)
        assert labels.min() >= 0
        assert labels.max() <= 9


def _labelled(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    return [(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])
