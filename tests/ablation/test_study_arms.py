"""A study is the runs that its factors ask for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from nas.ablation.study import Design, Study, parse_factor, parse_option
from nas.errors import InputError

ENGINES: dict[str, Any] = {"dnas": {"engine": "dnas"}, "tpe": {"engine": "tpe", "epochs": 2}}
SIZES: dict[str, Any] = {"64KB": {"flash": "64KB"}, "128KB": {"flash": "128KB"}, "none": {}}


def study(**given: Any) -> Study:
    return Study.model_validate({"name": "s", "factors": {"engine": ENGINES, "flash": SIZES}, **given})


def test_every_level_meets_every_other() -> None:
    arms = study(options={"task": "kws", "epochs": 9}).arms()
    assert [arm.name for arm in arms] == [
        f"engine={engine},flash={flash}" for engine in ("dnas", "tpe") for flash in ("64KB", "128KB", "none")
    ]
    assert arms[0].options == {"task": "kws", "epochs": 9, "engine": "dnas", "flash": "64KB"}
    assert arms[-1].options == {"task": "kws", "epochs": 2, "engine": "tpe"}


def test_one_at_a_time() -> None:
    arms = study(design=Design.ONE_AT_A_TIME).arms()
    assert [tuple(arm.levels.values()) for arm in arms] == [
        ("dnas", "64KB"),
        ("tpe", "64KB"),
        ("dnas", "128KB"),
        ("dnas", "none"),
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"factors": {}}, "one or more are needed"),
        ({"factors": {"engine": {"dnas": {}}}}, "factors.engine: two levels or more are needed, found 1"),
        (
            {"factors": {"engine": ENGINES, "again": ENGINES}},
            "factors.engine and factors.again both set engine, epochs",
        ),
        ({"seeds": 0}, "greater than or equal to 1"),
        ({"tme": 0}, "greater than 0"),
        ({"factors": {"engine": {"a/b": {}, "c": {}}}}, "String should match pattern"),
        ({"speed": 3}, "Extra inputs"),
    ],
)
def test_what_is_no_study(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        study(**given)


def test_factors_of_the_command_line() -> None:
    assert parse_factor("engine=dnas,tpe") == ("engine", {"dnas": {"engine": "dnas"}, "tpe": {"engine": "tpe"}})
    assert parse_factor("train-epochs=2, 20")[1]["20"] == {"train_epochs": 20}
    assert parse_factor("flash-model=estimate")[1] == {"estimate": {"flash_model": "parameters"}}
    assert parse_factor("sram-model=exact,estimate")[1] == {"exact": {}, "estimate": {"plan": "estimate"}}
    assert parse_factor("augmentation=on,off")[1]["off"] == {"recipe": {"augment": {}}}
    assert parse_factor("qat=on,off")[1] == {"on": {"qat": True}, "off": {"qat": False}}
    assert parse_factor("latency=60ms,off")[1] == {"60ms": {"latency": "60ms"}, "off": {}}
    assert parse_option("inherit=true") == ("inherit", True)
    assert parse_option("train-epochs=20") == ("train_epochs", 20)


@pytest.mark.parametrize(
    "text", ["engine", "engine=", "=dnas", "engine=dnas,", "engine=dnas,dnas", "sram-model=naive,exact"]
)
def test_what_is_no_factor(text: str) -> None:
    with pytest.raises(InputError, match="--vary"):
        parse_factor(text)


def test_what_is_no_option() -> None:
    with pytest.raises(InputError, match="expected OPTION=VALUE"):
        parse_option("flash")
