from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from made_images import write_images
from PIL import Image

from nas.errors import DataError, InputError
from nas.tasks import TaskSettings, get_task, load_evaluation_folder

VWW = get_task("vww")
GREY = (50, 50, 1)


def test_contract_of_the_benchmark() -> None:
    assert (VWW.name, VWW.metric, VWW.input_shape) == ("vww", "accuracy", (96, 96, 3))
    assert VWW.classes == ("non_person", "person")
    assert VWW.wire_type == "uint8"
    grid = VWW.input_quantization
    assert grid is not None
    assert (np.float32(grid.scale), grid.zero_point) == (np.float32(1 / 255), -128)


def test_a_pixel_goes_over_the_wire_as_it_is_and_means_a_share_of_white() -> None:
    pixels = np.arange(256, dtype=np.uint8)
    assert VWW.input_quantization is not None
    inputs = VWW.input_quantization.quantize(pixels)
    assert inputs.tolist() == list(range(-128, 128))
    np.testing.assert_allclose(VWW.input_quantization.dequantize(inputs), pixels / 255, rtol=1e-6)


def test_folders_are_read_in_any_size(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "vww", VWW.classes, 12)
    for task in (VWW, VWW.fitted(GREY)):
        data = task.load(folder, cache_dir=tmp_path / "cache")
        assert data.train.features.shape[2:] == task.input_shape
        assert (data.name, data.synthetic, data.classes) == ("vww", False, VWW.classes)
        assert task.training_samples(folder) == len(data.train) == 20


def test_other_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="class cat is unknown here; the classes are non_person, person"):
        VWW.load(write_images(tmp_path, ("cat", "person"), 3))


@pytest.mark.parametrize("task", [VWW, VWW.fitted(GREY)], ids=["96x96x3", "50x50x1"])
def test_builtin_people_are_loudly_synthetic(task: Any) -> None:
    data = task.load("builtin")
    assert (data.name, data.synthetic, data.classes) == ("builtin-people", True, VWW.classes)
    assert data.notes[0].startswith("SYNTHETIC DATA: the images are matchstick men")
    assert data.test.features.shape == (300, *task.input_shape)
    assert task.training_samples("builtin") == len(data.train)


def test_settings_are_those_of_images() -> None:
    assert get_task("vww", None, TaskSettings("64x64x1")) == VWW  # the shape comes with ``fitted``, after the space's
    with pytest.raises(InputError, match="--input is nothing that the task ic has"):
        get_task("ic", None, TaskSettings("64x64x1"))


@pytest.fixture
def unpacked(shared_data: Path, tmp_path: Path) -> Path:
    """The 1,000 official images as PNG files in folders of classes, and as the benchmark stores them in ``vww01``."""
    with np.load(shared_data / "packed" / "vww_test_eembc.npz") as packed:
        images = _unpacker(shared_data).images(packed["packed"], packed["shape"])
        names, labels = [f"{number:012}" for number in packed["coco_id"]], packed["label"]
    for folder in (*VWW.classes, "vww01"):
        (tmp_path / folder).mkdir()
    shutil.copy(shared_data / "mlperf_tiny" / "vww01" / "y_labels.csv", tmp_path / "vww01")
    for name, label, image in zip(names, labels, images, strict=True):
        Image.fromarray(image).save(tmp_path / VWW.classes[label] / f"{name}.png")
        (tmp_path / "vww01" / f"{name}.bin").write_bytes(image.tobytes())
    return tmp_path


def _unpacker(shared_data: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("unpack", shared_data / "unpack.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_real_images_are_those_of_the_benchmark(
    unpacked: Path, shared_data: Path, call_nas: Callable[..., Any]
) -> None:
    """Pixel by pixel, with their labels; and its network gets 852 of the 1,000 right."""
    official = unpacked / "vww01"
    (wanted,) = load_evaluation_folder(official, VWW)
    folder = unpacked / "images"
    for name in VWW.classes:
        shutil.move(unpacked / name, folder / name)
    data = VWW.load(folder, cache_dir=unpacked / "cache")
    assert VWW.input_quantization is not None
    splits = [(data.train.features[0], data.train), (data.validation.features, data.validation)]
    found = [
        (image.tobytes(), label)
        for features, split in [*splits, (data.test.features, data.test)]
        for image, label in zip(VWW.input_quantization.quantize(features), split.labels, strict=True)
    ]
    assert sorted(found) == sorted(
        (image.tobytes(), label) for image, label in zip(wanted.inputs, wanted.labels, strict=True)
    )
    model = shared_data / "models" / "vww_96_int8.tflite"
    done = call_nas("validate", model, "--task", "vww", "--data", official, "--json")
    assert (done.code, done.err) == (0, "")
    assert {key: json.loads(done.out)[key] for key in ("correct", "total")} == {"correct": 852, "total": 1000}
