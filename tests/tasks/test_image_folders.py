from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_images import write_image, write_images

from nas.errors import DataError
from nas.tasks.image_folders import Inventory, find_classes, hold_out_missing, take_inventory

CLASSES = ("cat", "dog")


def divided(root: Path, classes: tuple[str, ...] = CLASSES) -> Inventory:
    return hold_out_missing(take_inventory(root, classes))


def names(inventory: Inventory, split: str) -> dict[str, list[str]]:
    return {name: [file.path.name for file in files] for name, files in inventory.splits[split].items()}


def test_folders_of_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "validation", "test")):
        write_images(tmp_path / split, CLASSES, 2 + seed, seed=seed)
    inventory = divided(tmp_path)
    assert {split: [len(files) for files in classes.values()] for split, classes in inventory.splits.items()} == {
        "train": [2, 2],
        "validation": [3, 3],
        "test": [4, 4],
    }
    assert (inventory.notes, inventory.missing, inventory.training_images) == ((), (), 4)
    (tmp_path / "validation").rename(tmp_path / "val")
    assert names(divided(tmp_path), "validation") == names(inventory, "validation")


@pytest.mark.parametrize("above", ["", "train"])
def test_what_is_missing_is_held_out(tmp_path: Path, above: str) -> None:
    write_images(tmp_path / above, CLASSES, 30)
    listed = take_inventory(tmp_path, CLASSES)
    inventory = hold_out_missing(listed)
    for name in CLASSES:
        files = sorted((tmp_path / above / name).iterdir(), key=lambda path: hashlib.sha256(path.read_bytes()).digest())
        found = {split: {file.path for file in inventory.splits[split][name]} for split in inventory.splits}
        assert found == {"train": set(files[6:]), "validation": set(files[:3]), "test": set(files[3:6])}
    assert listed.training_images == sum(map(len, inventory.splits["train"].values())) == 48
    (note,) = inventory.notes
    assert note.endswith("a tenth of each class: 6 for validation and 6 for test")


def test_a_split_that_is_there_is_not_added_to(tmp_path: Path) -> None:
    write_images(tmp_path / "train", CLASSES, 10)
    write_images(tmp_path / "test", CLASSES, 4, seed=1)
    inventory = divided(tmp_path)
    assert [len(inventory.splits[split]["cat"]) for split in ("train", "validation", "test")] == [9, 1, 4]


@given(copies=st.lists(st.integers(1, 6), min_size=12, max_size=20))
@settings(max_examples=25)
def test_copies_stay_together_and_every_split_gets_some(
    tmp_path_factory: pytest.TempPathFactory, copies: list[int]
) -> None:
    root = tmp_path_factory.mktemp("images")
    write_images(root, CLASSES[:1], 3, seed=1)
    for seed, count in enumerate(copies):
        for copy in range(count):
            write_image(root / "dog" / f"{copy}_{seed}.png", seed=seed)
    inventory = take_inventory(root, CLASSES)
    splits = hold_out_missing(inventory).splits
    owners: dict[str, set[str]] = {}
    for split, classes in splits.items():
        assert classes["dog"]
        for file in classes["dog"]:
            owners.setdefault(file.path.stem.split("_")[1], set()).add(split)
    assert len(owners) == len(copies)
    assert all(len(found) == 1 for found in owners.values())


def test_names_do_not_matter(tmp_path: Path) -> None:
    """The same images under other names, in other folders of a class, fall into the same splits."""
    write_images(tmp_path / "one", CLASSES, 20)
    for path in sorted((tmp_path / "one").rglob("*.png")):
        copy = tmp_path / "two" / path.parent.name / "deeper" / f"x{path.name}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    one, two = divided(tmp_path / "one"), divided(tmp_path / "two")
    for split in one.splits:
        assert {f"x{name}" for name in names(one, split)["cat"]} == set(names(two, split)["cat"])


def test_what_is_no_image_is_left_out(tmp_path: Path) -> None:
    write_images(tmp_path, CLASSES, 3)
    clean = take_inventory(tmp_path, CLASSES)
    for name in ("README.md", "cat/labels.txt", "cat/.hidden.png", "dog/__MACOSX/0.png", ".git/0.png", "cat/.x/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("nothing")
    assert find_classes(tmp_path) == CLASSES
    assert take_inventory(tmp_path, CLASSES) == clean


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write_images(tmp_path, ("car", "train"), 3)
    assert find_classes(tmp_path) == ("car", "train")


def no_folders(root: Path) -> None:
    write_image(root / "cat.png")


def one_class(root: Path) -> None:
    write_images(root, ("cat",), 3)


def empty_class(root: Path) -> None:
    write_images(root, ("cat",), 3)
    (root / "dog").mkdir()


def unknown_class(root: Path) -> None:
    write_images(root, (*CLASSES, "horse"), 3)


def class_missing_in_test(root: Path) -> None:
    write_images(root / "train", CLASSES, 3)
    write_images(root / "test", ("cat",), 3)


def no_train(root: Path) -> None:
    write_images(root / "val", CLASSES, 3)
    write_images(root / "test", CLASSES, 3)


def too_few(root: Path) -> None:
    write_images(root, CLASSES, 2)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (no_folders, "found no folders but 1 files, expected a folder of images for each of two or more classes"),
        (one_class, "found one class, cat, expected a folder of images for each"),
        (empty_class, "class dog holds no images; the classes are cat, dog"),
        (unknown_class, "class horse is unknown here; the classes are cat, dog"),
        (class_missing_in_test, "test: class dog is missing; found cat; the classes are cat, dog"),
        (no_train, "found val, test but no train with classes"),
        (too_few, "class cat has 2 training images, expected at least 3: one each is held out for validation and test"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, make: Callable[[Path], None], told: str) -> None:
    make(tmp_path)
    with pytest.raises(DataError, match=told) as raised:
        take_inventory(tmp_path, find_classes(tmp_path) and CLASSES)
    assert str(tmp_path) in str(raised.value)


def test_copies_of_too_few_images_are_not_divided(tmp_path: Path) -> None:
    write_images(tmp_path, CLASSES, 5)
    for path in sorted((tmp_path / "dog").iterdir()):
        write_image(path, seed=int(path.stem) % 2)
    with pytest.raises(DataError, match="class dog has too few different images to divide into splits"):
        divided(tmp_path)


def test_the_order_of_the_classes_is_theirs(tmp_path: Path) -> None:
    write_images(tmp_path, CLASSES, 3)
    assert list(take_inventory(tmp_path, CLASSES[::-1]).splits["train"]) == ["dog", "cat"]
    assert find_classes(tmp_path) == CLASSES
    assert np.all([file.size_bytes > 0 for file in take_inventory(tmp_path, CLASSES).splits["train"]["cat"]])
