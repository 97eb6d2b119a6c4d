from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.errors import InputError
from nas.space import SearchSpace, load_space
from nas.space.lookup import find_architecture


def test_a_point_of_a_space() -> None:
    assert find_architecture("kws_ds_cnn:mlperf-ds-cnn") == load_space("kws_ds_cnn").points["mlperf-ds-cnn"]


def test_a_point_of_a_space_file(toy_space: SearchSpace) -> None:
    assert find_architecture(f"{toy_space.origin}:middle") == toy_space.points["middle"]


def test_a_file_and_a_run_folder(toy_space: SearchSpace, tmp_path: Path) -> None:
    (tmp_path / "winner").mkdir()
    file = tmp_path / "winner" / "arch.json"
    file.write_text(json.dumps(toy_space.largest().to_json()))
    assert find_architecture(str(file)) == find_architecture(str(tmp_path)) == toy_space.largest()


@pytest.mark.parametrize(
    ("content", "message"), [("{", "arch.json: not JSON"), ("{}", "arch.json: not an architecture"), ("3", "arch.json")]
)
def test_a_damaged_file(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "arch.json").write_text(content)
    with pytest.raises(InputError, match=message):
        find_architecture(str(tmp_path / "arch.json"))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nothing", "no network 'nothing': give a run folder, an arch.json, or SPACE:POINT"),
        ("kws_ds_cnn:mlperf", "has no point 'mlperf'; it has mlperf-ds-cnn"),
        ("ds_cnn:mlperf-ds-cnn", "no search space named 'ds_cnn'"),
    ],
)
def test_what_is_not_there(what: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_architecture(what)


def test_a_run_folder_without_a_winner(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no network"):
        find_architecture(str(tmp_path))
