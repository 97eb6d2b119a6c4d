from __future__ import annotations

from typing import Any

import pytest

from nas.errors import InputError
from nas.space import Architecture, SearchSpace


@pytest.fixture
def data(toy_space: SearchSpace) -> dict[str, Any]:
    return toy_space.points["middle"].to_json()


def test_json_is_complete_without_the_space_file(data: dict[str, Any], toy_space: SearchSpace) -> None:
    plain = {"hidden": 0, "residual": False}
    assert data == {
        "schema": 1,
        "space": "toy",
        "task": "kws",
        "input_shape": [12, 9, 2],
        "classes": 3,
        "blocks": [
            {"stage": "stem", "kind": "conv", "width": 8, "kernel": [3, 2], "stride": [2, 2], **plain},
            {"stage": "blocks", "kind": "ds", "width": 6, "kernel": [1, 1], "stride": [1, 1], **plain},
            {"stage": "blocks", "kind": "ds", "width": 4, "kernel": [1, 1], "stride": [1, 1], **plain},
        ],
        "head": "pool_dense",
    }
    assert Architecture.from_json(data) == toy_space.points["middle"]


@pytest.mark.parametrize("key", ["schema", "space", "task", "input_shape", "classes", "blocks", "head"])
def test_a_missing_key_is_named(data: dict[str, Any], key: str) -> None:
    del data[key]
    with pytest.raises(InputError, match=f"run/arch.json: not an architecture: KeyError at '{key}'"):
        Architecture.from_json(data, "run/arch.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("head", "nothing"),
        ("classes", "many"),
        ("input_shape", [12, 9]),
        ("input_shape", 12),
        ("blocks", [{"kind": "conv"}]),
        ("blocks", 3),
    ],
)
def test_a_wrong_value_is_refused(data: dict[str, Any], key: str, value: object) -> None:
    with pytest.raises(InputError, match=r"arch.json: not an architecture"):
        Architecture.from_json({**data, key: value}, "arch.json")


@pytest.mark.parametrize(
    ("key", "value"), [("width", 0), ("kind", "nothing"), ("kernel", [0, 3]), ("stride", [1, -1]), ("kernel", [3])]
)
def test_a_wrong_block_is_refused(data: dict[str, Any], key: str, value: object) -> None:
    data["blocks"][1][key] = value
    with pytest.raises(InputError, match=r"arch.json: not an architecture"):
        Architecture.from_json(data, "arch.json")


def test_a_file_from_before_there_were_shortcuts_is_read(data: dict[str, Any], toy_space: SearchSpace) -> None:
    for block in data["blocks"]:
        del block["hidden"], block["residual"]
    assert Architecture.from_json(data) == toy_space.points["middle"]


def test_another_schema_is_told(data: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="schema 2 is not known here"):
        Architecture.from_json({**data, "schema": 2})


@pytest.mark.parametrize("data", [[], "text", None, 3])
def test_other_json_is_refused(data: object) -> None:
    with pytest.raises(InputError, match="not an architecture"):
        Architecture.from_json(data)
