"""Image tasks from the command line, on data that is drawn on the spot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.tasks import get_task

Call = Callable[..., Any]

SEARCH = ["search", "--task", "ic", "--data", "builtin", "--json"]
SMALL = ["--flash", "40KB", "--trials", "2", "--epochs", "1", "--train-epochs", "2"]
EPOCHS = ["--epochs", "1", "--train-epochs", "6"]


def test_the_price_is_told_for_images(call_nas: Call) -> None:
    done = call_nas("search", "--task", "ic", "--data", "builtin", "--flash", "40KB", "--dry-run")
    assert done.code == 0, done.err
    told = done.out + done.err
    assert "builtin: SYNTHETIC, made on the spot, 1,500 training samples" in told
    assert "space     ic_micronet:" in told


@pytest.mark.slow
@pytest.mark.usefixtures("small_builtin")
def test_a_search_ends_in_a_file_that_reads_the_benchmarks_inputs(call_nas: Call, tmp_path: Path) -> None:
    done = call_nas(*SEARCH, *SMALL, "--out", "run")
    assert done.code == 0, done.err
    assert "SYNTHETIC DATA: the images are shapes" in done.err
    report = json.loads(done.out)
    assert (report["space"], report["engine"], report["data"]["synthetic"]) == ("ic_micronet", "dnas", True)
    winner = report["winner"]
    assert winner["measured"]["flash_bytes"] == winner["predicted"]["flash_bytes"] <= 40 * 1024
    assert winner["measured"]["sram_bytes"] == winner["predicted"]["sram_bytes"]
    test = get_task("ic").load("builtin").test
    write_evaluation_files(tmp_path / "ic01", test.features, test.labels, 10)
    found = json.loads(call_nas("validate", "run", "--task", "ic", "--data", "ic01", "--json").out)
    assert (found["total"], found["correct"]) == (winner["int8_total"], winner["int8_correct"])


@pytest.mark.slow
@pytest.mark.usefixtures("small_builtin")
def test_people_are_searched_for(call_nas: Call, tmp_path: Path) -> None:
    """Smaller than the benchmark's images and grey, to be quick."""
    words = ["--space", "vww_mobilenet", "--input", "24x24x1", "--flash", "30KB", "--trials", "1"]
    done = call_nas("search", "--task", "vww", "--data", "builtin", "--json", *words, *EPOCHS, "--out", "run")
    assert done.code == 0, done.err
    assert "SYNTHETIC DATA: the images are matchstick men" in done.err
    report = json.loads(done.out)
    winner = report["winner"]
    assert (report["space"], winner["arch"]["input_shape"]) == ("vww_mobilenet", [24, 24, 1])
    assert winner["measured"]["flash_bytes"] == winner["predicted"]["flash_bytes"] <= 30 * 1024
    test = get_task("vww").fitted((24, 24, 1)).load("builtin").test
    write_evaluation_files(tmp_path / "vww01", test.features, test.labels, 2)
    for model, data in (("run", "vww01"), ("run/winner/model.tflite", "builtin")):
        found = json.loads(call_nas("validate", model, "--task", "vww", "--data", data, "--json").out)
        assert (found["total"], found["correct"]) == (winner["int8_total"], winner["int8_correct"])


@pytest.mark.slow
@pytest.mark.usefixtures("small_builtin")
def test_classes_of_ones_own(call_nas: Call, tmp_path: Path) -> None:
    """Search, validate and export on folders of images; other classes are refused."""
    write_coloured_images(tmp_path / "colours")
    mine = ["--task", "image", "--data", "colours"]
    words = [*mine, "--space", "ic_resnet", "--input", "16x16x3", "--flash", "30KB", "--trials", "1"]
    done = call_nas("search", *words, "--epochs", "1", "--train-epochs", "20", "--out", "run", "--json")
    assert done.code == 0, done.err
    assert "held out of the training images by a hash of each file" in done.err
    report = json.loads(done.out)
    winner = report["winner"]
    assert report["data"]["classes"] == ["blue", "green", "red"]
    assert (report["data"]["train"], winner["int8_total"]) == (240, 30)
    assert winner["int8_correct"] >= 27
    for model in ("run", "run/winner/model.tflite"):
        found = json.loads(call_nas("validate", model, *mine, "--json").out)
        assert found["correct"] == winner["int8_correct"]
    done = call_nas("export", "run", "--json")
    assert json.loads(done.out)["flash_bytes"] == winner["measured"]["flash_bytes"], done.err
    shutil.move(tmp_path / "colours" / "red", tmp_path / "colours" / "yellow")
    done = call_nas("validate", "run", *mine)
    assert (done.code, done.out) == (2, "")
    assert "was trained for blue, green, red; the data has blue, green, yellow" in done.err
    shutil.rmtree(tmp_path / "colours" / "yellow")
    assert "tells 3 classes apart, the task image has 2 here" in call_nas("validate", "run", *mine).err


def write_coloured_images(root: Path) -> None:
    """100 photographs of a coloured thing each, of several sizes and kinds of files."""
    rng = np.random.default_rng(0)
    for channel, (name, ending) in enumerate((("red", "png"), ("green", "jpg"), ("blue", "bmp"))):
        (root / name).mkdir(parents=True)
        for number in range(100):
            pixels = rng.integers(0, 60, (20 + number % 7, 18 + number % 5, 3)).astype(np.uint8)
            pixels[4:16, 4:16, channel] += 150
            Image.fromarray(pixels).save(root / name / f"{number}.{ending}")


def write_evaluation_files(folder: Path, images: np.ndarray, labels: np.ndarray, classes: int) -> None:
    """Images as the benchmark stores them: unsigned pixels, channels last."""
    folder.mkdir()
    lines = []
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / f"{row}.bin").write_bytes(image.tobytes())
        lines.append(f"{row}.bin,{classes},{label}")
    (folder / "y_labels.csv").write_text("\n".join(lines))
