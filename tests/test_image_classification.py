"""Image classification from the command line, on data that is drawn on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.tasks import get_task

Call = Callable[..., Any]

SEARCH = ["search", "--task", "ic", "--data", "builtin", "--json"]
SMALL = ["--flash", "40KB", "--trials", "2", "--epochs", "2", "--train-epochs", "2"]


def test_the_price_is_told_for_images(call_nas: Call) -> None:
    done = call_nas("search", "--task", "ic", "--data", "builtin", "--flash", "40KB", "--dry-run")
    assert done.code == 0, done.err
    told = done.out + done.err
    assert "builtin: SYNTHETIC, made on the spot, 1,500 training samples" in told
    assert "space     ic_resnet:" in told


@pytest.mark.slow
def test_a_search_ends_in_a_file_that_reads_the_benchmarks_inputs(call_nas: Call, tmp_path: Path) -> None:
    done = call_nas(*SEARCH, *SMALL, "--out", "run")
    assert done.code == 0, done.err
    assert "SYNTHETIC DATA: the images are shapes" in done.err
    report = json.loads(done.out)
    assert (report["space"], report["engine"], report["data"]["synthetic"]) == ("ic_resnet", "dnas", True)
    winner = report["winner"]
    assert winner["measured"]["flash_bytes"] == winner["predicted"]["flash_bytes"] <= 40 * 1024
    assert winner["measured"]["sram_bytes"] == winner["predicted"]["sram_bytes"]
    write_evaluation_files(tmp_path / "ic01")
    found = json.loads(call_nas("validate", "run", "--task", "ic", "--data", "ic01", "--json").out)
    assert (found["total"], found["correct"]) == (winner["int8_total"], winner["int8_correct"])


def write_evaluation_files(folder: Path) -> None:
    """The test images as the benchmark stores them: unsigned pixels, channels last."""
    folder.mkdir()
    test = get_task("ic").load("builtin").test
    lines = []
    for row, (image, label) in enumerate(zip(test.features, test.labels, strict=True)):
        (folder / f"{row}.bin").write_bytes(image.tobytes())
        lines.append(f"{row}.bin,10,{label}")
    (folder / "y_labels.csv").write_text("\n".join(lines))
