"""Planted faults are found, each by its own rule and nothing else; a clean data set has none."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from made_cifar10 import write_batch, write_cifar10
from made_data import hash_of, speech_clip, write_clip, write_picture, write_pictures, write_speech
from PIL import Image

from nas.errors import DataError
from nas.tasks import get_task, task_names
from nas.tasks.cifar10 import CLASSES, TEST_FILE
from nas.tasks.inventory import (
    LAYOUTS,
    Content,
    Inspection,
    Item,
    Place,
    Wire,
    count_samples,
    find_all,
    inspect_evaluation,
    summarize_sizes,
)

Found = dict[str, tuple[str, ...]]
WIRE = Wire(("no", "yes"), (2, 2, 1), "int8", 3)


def test_every_task_has_a_layout() -> None:
    assert set(task_names()) <= set(LAYOUTS)


def inspect(task: str, root: Path) -> Inspection:
    return LAYOUTS[task].inspect(root, None)


def faults(inspection: Inspection) -> Found:
    return {finding.rule: finding.where for finding in find_all(inspection)}


@pytest.fixture(scope="session")
def clean_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures") / "pets")


@pytest.fixture(scope="session")
def clean_speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech(tmp_path_factory.mktemp("speech") / "words")


@pytest.fixture
def pictures(clean_pictures: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean_pictures, tmp_path / "pets"))


@pytest.fixture
def speech(clean_speech: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean_speech, tmp_path / "words"))


def test_a_clean_folder_of_pictures(clean_pictures: Path) -> None:
    found = inspect("image", clean_pictures)
    assert faults(found) == {}
    assert found.data == "pets"
    assert found.notes == ()
    assert count_samples(found) == {split: {"cat": 20, "dog": 20} for split in ("train", "validation", "test")}
    assert summarize_sizes(found) == {
        "shapes": [{"shape": [8, 8, 3], "samples": 120}],
        "expected": None,
        "resized": None,
    }


def test_clean_speech(clean_speech: Path) -> None:
    found = inspect("kws", clean_speech)
    assert faults(found) == {}
    assert {split: set(counts.values()) for split, counts in count_samples(found).items()} == {
        split: {20} for split in ("train", "validation", "test")
    }
    sizes = summarize_sizes(found)
    assert sizes is not None
    assert sizes["seconds"] == {"min": 0.05, "median": 0.05, "max": 0.05}
    assert (sizes["shorter"], sizes["longer"], sizes["rates_hz"]) == (720, 0, {"16000": 720})


def _recompressed(root: Path) -> None:
    with Image.open(root / "train/cat/03.png") as image:
        image.save(root / "train/cat/99.bmp")


def _leaked(root: Path) -> None:
    shutil.copy(root / "train/cat/03.png", root / "test/cat/99.png")


def _contradicted(root: Path) -> None:
    shutil.copy(root / "train/cat/03.png", root / "train/dog/99.png")


def _blank(root: Path) -> None:
    for name in ("train/cat/98.png", "test/dog/99.png"):
        Image.new("RGB", (8, 8), (200, 30, 30)).save(root / name)


def _corrupt(root: Path) -> None:
    whole = (root / "val/dog/07.png").read_bytes()
    (root / "val/dog/99.png").write_bytes(whole[: len(whole) // 2])
    (root / "val/dog/98.png").write_text("no picture")


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (_recompressed, {"duplicates": ("train/cat/03.png = train/cat/99.bmp",)}),
        (_leaked, {"leaks": ("test/cat/99.png = train/cat/03.png",)}),
        (_contradicted, {"contradictions": ("train/cat/03.png (cat) = train/dog/99.png (dog)",)}),
        (_blank, {"blank_samples": ("test/dog/99.png", "train/cat/98.png")}),
        (lambda root: (root / "train/cat/00.png").unlink(), {"thin_classes": ("train: 19 of cat",)}),
    ],
)
def test_a_fault_among_pictures(pictures: Path, plant: Callable[[Path], object], expected: Found) -> None:
    plant(pictures)
    assert faults(inspect("image", pictures)) == expected


def test_every_corrupt_file_is_told(pictures: Path) -> None:
    _corrupt(pictures)
    found = faults(inspect("image", pictures))
    assert list(found) == ["unreadable"]
    for name, reason in zip(("98.png", "99.png"), found["unreadable"], strict=True):
        assert reason.startswith(f"{pictures / 'val' / 'dog' / name}: not an image that can be read (")


def test_odd_files_and_sizes(pictures: Path) -> None:
    (pictures / "train/cat/notes.txt").write_text("of my cats")
    write_picture(pictures / "train/dog/98.png", seed=1, side=9)
    Image.effect_noise((8, 8), 50).save(pictures / "train/dog/99.png")  # grey
    found = replace(inspect("image", pictures), expected_size=(8, 8, 3))
    assert faults(found) == {}
    sizes = summarize_sizes(found)
    assert sizes is not None
    assert [(each["shape"], each["samples"]) for each in sizes["shapes"]] == [
        ([8, 8, 3], 121),
        ([9, 9, 3], 1),
    ]
    assert sizes["resized"] == 1


def test_an_undivided_folder_is_divided_as_the_loader_does(pictures: Path) -> None:
    found = inspect("image", pictures / "train")
    assert count_samples(found) == {
        split: {"cat": count, "dog": count} for split, count in (("train", 16), ("validation", 2), ("test", 2))
    }
    assert list(faults(found)) == ["thin_classes"]
    assert found.notes == (
        "held out of the training images by a hash of each file, a tenth of each class: "
        "4 for validation and 4 for test",
    )


def test_folders_that_cannot_be_the_data(pictures: Path) -> None:
    with pytest.raises(DataError, match="class cat is unknown here; the classes are non_person, person"):
        inspect("vww", pictures)
    with pytest.raises(DataError, match=r"holds no wav files|no classes of sounds"):
        inspect("audio", pictures)
    for path in (pictures / "test/dog").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="class dog holds no images"):
        inspect("image", pictures)


def test_sounds(tmp_path: Path) -> None:
    """The same sound in 16 and 24 bits, a speaker in two splits, another rate, a broken file and a silent one."""
    for folder in ("train", "val", "test"):
        for name in ("glass", "dog"):
            for index in range(20):
                write_clip(tmp_path / folder / name / f"{index}.wav", seed=hash_of(folder, name, index))
    assert faults(inspect("audio", tmp_path)) == {}
    samples, rate = soundfile.read(tmp_path / "train/dog/3.wav", dtype="int16")
    soundfile.write(tmp_path / "test/dog/99.wav", samples, rate, subtype="PCM_24")
    soundfile.write(tmp_path / "val/glass/99.wav", np.zeros(100), rate)
    for folder in ("train", "test"):
        write_clip(tmp_path / folder / "dog" / "ann_nohash_0.wav", seed=hash_of(folder), seconds=2, rate=8000)
    (tmp_path / "val/dog/99.wav").write_bytes(b"RIFF")
    found = inspect("audio", tmp_path)
    assert faults(found) == {
        "unreadable": (found.unreadable[0].reason,),
        "blank_samples": ("validation: val/glass/99.wav",),
        "leaks": ("test/dog/99.wav = train/dog/3.wav",),
        "shared_speakers": ("ann: train, test",),
    }
    assert "val/dog/99.wav: not a readable wav file" in found.unreadable[0].reason
    sizes = summarize_sizes(found)
    assert sizes is not None
    assert (sizes["longer"], sizes["rates_hz"]) == (2, {"16000": 122, "8000": 2})


def test_person_detection(tmp_path: Path) -> None:
    found = inspect("vww", write_pictures(tmp_path / "vww", ("person", "non_person")))
    assert faults(found) == {}
    sizes = summarize_sizes(found)
    assert sizes is not None
    assert sizes["resized"] == 120


def _same_sound_other_file(root: Path) -> None:
    samples, rate = soundfile.read(root / speech_clip("go", 3), dtype="int16")
    soundfile.write(root / "go" / "other.wav", samples, rate, subtype="PCM_24")


def _speaker_in_two_splits(root: Path) -> None:
    write_clip(root / "left" / "00000003_nohash_1.wav", seed=1)
    with (root / "testing_list.txt").open("a") as lines:
        lines.write("left/00000003_nohash_1.wav\n")


def _silent(root: Path) -> None:
    for name in ("up/quiet.wav", "_silence_/quiet.wav", "_silence_/quiet too.wav"):
        soundfile.write(root / name, np.zeros(800, np.int16), 16_000)


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (_same_sound_other_file, {"duplicates": ("train: go/00000003_nohash_0.wav = train: go/other.wav",)}),
        (_speaker_in_two_splits, {"shared_speakers": ("00000003: train, test",)}),
        (_silent, {"blank_samples": ("train: up/quiet.wav",)}),
        (
            lambda root: shutil.copy(root / speech_clip("go", 3), root / speech_clip("go", 33)),
            {"leaks": ("train: go/00000003_nohash_0.wav = validation: go/00000021_nohash_0.wav",)},
        ),
        (
            lambda root: shutil.copy(root / speech_clip("go", 3), root / speech_clip("up", 4)),
            {"contradictions": ("train: go/00000003_nohash_0.wav (go) = train: up/00000004_nohash_0.wav (up)",)},
        ),
        (
            lambda root: shutil.rmtree(root / "_background_noise_"),
            {"missing_parts": ("no _background_noise_: no noise is mixed into training clips",)},
        ),
    ],
)
def test_a_fault_in_speech(speech: Path, plant: Callable[[Path], object], expected: Found) -> None:
    plant(speech)
    assert faults(inspect("kws", speech)) == expected


def test_silence_is_counted_as_a_search_cuts_it(speech: Path) -> None:
    """Without clips of its own, training has the windows of 12 s of noise: (12 - 1) / 0.5, without the last."""
    for index in range(20):
        (speech / speech_clip("_silence_", index)).unlink()
    write_clip(speech / "_background_noise_" / "hum.wav", seed=0, seconds=12)
    found = inspect("kws", speech)
    assert count_samples(found)["train"]["silence"] == 22
    assert faults(found) == {}
    assert found.notes == ("silence clips cut from separate stretches of _background_noise_: train 22",)


def test_clips_of_another_rate(speech: Path) -> None:
    write_clip(speech / "go" / "slow.wav", seed=1, rate=8000)
    found = faults(inspect("kws", speech))
    assert list(found) == ["unreadable"]
    assert "go/slow.wav: found 8000 Hz and 1 channel(s), expected 16000 Hz mono" in found["unreadable"][0]


def test_cifar10(tmp_path: Path) -> None:
    folder = write_cifar10(tmp_path, per_class=20)
    assert faults(inspect("ic", tmp_path)) == {"thin_classes": tuple(f"validation: 10 of {name}" for name in CLASSES)}
    image = np.random.default_rng(0).integers(0, 256, (1, 3072), np.uint8)
    write_batch(folder / TEST_FILE, np.repeat(image, 2, 0), [CLASSES.index("cat")] * 2)
    found = faults(inspect("ic2", tmp_path))
    assert found["duplicates"] == ("test: test_batch image 0 = test: test_batch image 1",)
    assert found["missing_classes"] == tuple(f"test: {name}" for name in CLASSES if name != "cat")


def test_machine_sounds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder, kind, machine in (("train", "normal", 1), ("test", "normal", 1), ("test", "normal", 2)):
        (tmp_path / folder).mkdir(exist_ok=True)
        for index in range(20):
            values = rng.standard_normal((200, 128)).astype("<f4")
            name = f"{kind}_id_0{machine}_{index:08}_hist_librosa.bin"
            (tmp_path / folder / name).write_bytes(values.tobytes())
    (tmp_path / "test/anomaly_id_01_00000000_hist_librosa.bin").write_bytes(bytes(7))
    inspection = inspect("ad", tmp_path)
    found = faults(inspection)
    assert count_samples(inspection)["validation"] == {"normal 01": 2}  # held out of training
    assert any(note.startswith("no anomaly to validate on") for note in inspection.notes)
    assert found["missing_classes"] == ("train: normal 02", "test: anomaly 01")
    assert "7 bytes, expected 102,400" in found["unreadable"][0]
    shutil.rmtree(tmp_path / "test")
    with pytest.raises(DataError, match="test is not there"):
        inspect("ad", tmp_path)


def test_evaluation_files(tmp_path: Path) -> None:
    for name, content in (("a", b"abcd"), ("b", b"abcd"), ("c", b"efgh"), ("short", b"abc"), ("spare", b"ijkl")):
        (tmp_path / f"{name}.bin").write_bytes(content)
    lines = ["a.bin,2,0", "b.bin, 2, 1", "", "c.bin,2,0,2560,512", "short.bin,2,0", "gone.bin,2,0"]
    (tmp_path / "y_labels.csv").write_text("\n".join(lines))
    (tmp_path / "y_labels_clean.csv").write_text("a.bin,2,0")
    inspection = inspect_evaluation(tmp_path, WIRE)
    assert count_samples(inspection) == {"y_labels": {"no": 2, "yes": 1}, "y_labels_clean": {"no": 1, "yes": 0}}
    found = faults(inspection)
    assert set(found) == {"unreadable", "missing_classes", "thin_classes", "contradictions"}
    assert found["contradictions"] == ("y_labels: a.bin (no) = y_labels: b.bin (yes)",)
    assert found["unreadable"] == (
        f"{tmp_path}/gone.bin: cannot be read (No such file or directory); unpack the files again",
        f"{tmp_path}/short.bin: 3 bytes, expected 4 (int8 (2, 2, 1))",
    )
    assert inspection.notes == ("files on no list: 1, such as spare.bin",)


@pytest.mark.parametrize("line", ["a.bin,2", "a.bin,3,0", "a.bin,2,2", "a.bin,2,yes"])
def test_a_line_of_another_task(tmp_path: Path, line: str) -> None:
    (tmp_path / "y_labels.csv").write_text(line)
    with pytest.raises(DataError, match=r"y_labels.csv:1: found '.*', expected file, 2 classes, label from 0 to 1"):
        inspect_evaluation(tmp_path, WIRE)


samples = st.lists(
    st.builds(
        Item,
        st.builds(
            Place,
            st.sampled_from(["train", "test"]),
            st.sampled_from(["cat", "dog"]),
            st.uuids().map(str),
            st.sampled_from(["ann", "bob", None]),
        ),
        st.builds(Content, st.sampled_from("abcdef"), st.just((8, 8, 3)), st.booleans()),
    ),
    max_size=30,
)


@given(items=samples, seed=st.integers(0, 99))
def test_the_order_of_files_does_not_matter(items: list[Item], seed: int) -> None:
    required = {"train": ("cat", "dog"), "test": ("cat", "dog")}
    shuffled = random.Random(seed).sample(items, len(items))
    one, other = (Inspection("made", tuple(order), (), required) for order in (items, shuffled))
    assert find_all(one) == find_all(other)
    assert summarize_sizes(one) == summarize_sizes(other)


@given(items=samples)
def test_each_copy_is_counted_once(items: list[Item]) -> None:
    """The truth by comparing every sample with every other."""
    seen = [item for item in items if not item.content.constant]
    pairs = [(a, b) for a in seen for b in seen if a is not b and a.content.digest == b.content.digest]
    expected = {
        "leaks": {a.content.digest for a, b in pairs if a.place.split != b.place.split},
        "contradictions": {a.content.digest for a, b in pairs if a.place.label != b.place.label},
        "duplicates": {
            (a.content.digest, a.place.split, a.place.label)
            for a, b in pairs
            if (a.place.split, a.place.label) == (b.place.split, b.place.label)
        },
    }
    found = faults(Inspection("made", tuple(items), (), {"train": ("cat", "dog"), "test": ("cat", "dog")}))
    for rule, places in expected.items():
        assert len(found.get(rule, ())) == len(places)


@pytest.mark.slow
def test_builtin_people_are_counted_as_they_are_drawn() -> None:
    builtin, task = LAYOUTS["vww"].builtin, get_task("vww").fitted((24, 24, 1))
    assert builtin is not None
    data = task.load("builtin")
    for split in ("train", "validation", "test"):
        drawn = np.bincount(getattr(data, split).labels).tolist()
        assert list(builtin.samples[split].values()) == drawn, split
