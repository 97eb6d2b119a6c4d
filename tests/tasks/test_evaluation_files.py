from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.errors import DataError
from nas.tasks import get_task, load_evaluation_folder

KWS, IC = get_task("kws"), get_task("ic")


@pytest.fixture
def bins(tmp_path: Path) -> Path:
    for index in range(3):
        (tmp_path / f"{index}.bin").write_bytes(np.full(490, index - 1, np.int8).tobytes())
    (tmp_path / "y_labels.csv").write_text("0.bin,12,4\n1.bin, 12, 11\n\n2.bin,12,0\n")
    return tmp_path


def test_reads_inputs_and_labels(bins: Path) -> None:
    (everything,) = load_evaluation_folder(bins, KWS)
    assert everything.name == "y_labels"
    assert everything.inputs.shape == (3, 49, 10, 1)
    assert everything.inputs.dtype == np.int8
    assert everything.inputs[:, 0, 0, 0].tolist() == [-1, 0, 1]
    assert everything.labels.tolist() == [4, 11, 0]
    assert len(everything) == 3


def test_unsigned_values_become_what_the_firmware_feeds_the_network(tmp_path: Path) -> None:
    values = np.arange(3072, dtype=np.uint16).astype(np.uint8)
    (tmp_path / "emu_s_002009.bin").write_bytes(values.tobytes())
    (tmp_path / "y_labels.csv").write_text("emu_s_002009.bin,10,2\n")
    (everything,) = load_evaluation_folder(tmp_path, IC)
    assert everything.inputs.shape == (1, 32, 32, 3)
    assert everything.inputs.dtype == np.int8
    assert everything.inputs.flatten().tolist() == [int(value) - 128 for value in values]
    assert IC.input_quantization is not None
    np.testing.assert_array_equal(IC.input_quantization.dequantize(everything.inputs).flatten(), values)


def test_the_size_is_told_in_the_type_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "emu.bin").write_bytes(bytes(100))
    (tmp_path / "y_labels.csv").write_text("emu.bin,10,2\n")
    with pytest.raises(DataError, match=r"emu.bin: 100 bytes, expected 3,072 \(uint8 \(32, 32, 3\)\) for ic"):
        load_evaluation_folder(tmp_path, IC)


def test_every_list_is_a_set(bins: Path) -> None:
    (bins / "y_labels_clean.csv").write_text("1.bin,12,11\n")
    assert [(each.name, len(each)) for each in load_evaluation_folder(bins, KWS)] == [
        ("y_labels", 3),
        ("y_labels_clean", 1),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0.bin,12", r"y_labels.csv:2: cannot read '0.bin,12'; expected file, classes, label"),
        ("0.bin,12,down", r"y_labels.csv:2: cannot read"),
        ("0.bin,12,12", r"y_labels.csv:2: label 12 of 12 classes does not fit kws"),
        ("0.bin,2,1", r"y_labels.csv:2: label 1 of 2 classes does not fit kws"),
        ("9.bin,12,1", r"y_labels.csv:2: 9.bin is not there"),
        ("short.bin,12,1", r"short.bin: 100 bytes, expected 490"),
    ],
)
def test_bad_line(bins: Path, line: str, message: str) -> None:
    (bins / "short.bin").write_bytes(bytes(100))
    (bins / "y_labels.csv").write_text(f"0.bin,12,4\n{line}\n")
    with pytest.raises(DataError, match=message):
        load_evaluation_folder(bins, KWS)


def test_folder_without_lists(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no y_labels\*.csv here"):
        load_evaluation_folder(tmp_path, KWS)
    (tmp_path / "y_labels.csv").write_text("\n")
    with pytest.raises(DataError, match="lists no file"):
        load_evaluation_folder(tmp_path, KWS)


def test_official_files(shared_data: Path, tmp_path: Path) -> None:
    official = shared_data / "mlperf_tiny" / "kws01"
    inputs = np.load(official / "inputs.npz")
    (values,) = (inputs[key] for key in inputs.files if inputs[key].size == 490_000)
    names = [line.split(",")[0] for line in (official / "y_labels.csv").read_text().splitlines()]
    for name, value in zip(names, values.reshape(1000, 490), strict=True):
        (tmp_path / name).write_bytes(value.tobytes())
    for path in official.glob("*.csv"):
        (tmp_path / path.name).write_text(path.read_text())
    everything, clean = load_evaluation_folder(tmp_path, KWS)
    assert (len(everything), len(clean)) == (1000, 438)
    assert np.bincount(everything.labels).tolist() == [92, 92, 81, 89, 70, 84, 75, 78, 84, 89, 80, 86]
