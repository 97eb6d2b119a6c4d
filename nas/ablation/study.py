"""A study: factors whose levels are options of ``nas search``, and the runs that compare them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nas.errors import InputError
from nas.space.spec import Name, Table

MOST = 1000  # seeds, and arms: a slip of the finger must not fill the memory

Options = Mapping[str, Any]
"""Flags of ``nas search``, with ``_`` for ``-``. Also ``recipe`` as a table of what changes in the recipe, and
``defaults``, a table of values of ``nas.defaults``."""


class Design(StrEnum):
    """Which levels meet."""

    FULL = "full"
    """Every level of every factor with every one of the others."""
    ONE_AT_A_TIME = "one-at-a-time"
    """The first level of every factor, and each other level with those."""


class Study(Table):
    """What is compared. The first level of a factor is what its others are held against."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    name: Name
    description: str = ""
    design: Annotated[Design, Field(strict=False)] = Design.FULL
    seeds: Annotated[int, Field(ge=1, le=MOST)] = 3
    tme: Annotated[float, Field(gt=0)] | None = None
    """What each search may cost, in trainings of a winner; by itself, no run has such a bound."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Of every run."""
    factors: dict[Name, dict[Name, dict[str, Any]]]
    """Factor -> level -> options."""

    @model_validator(mode="after")
    def _something_to_compare(self) -> Study:
        for factor, levels in self.factors.items():
            if len(levels) < 2:
                raise ValueError(f"factors.{factor}: two levels or more are needed, found {len(levels)}")
        if self.design is Design.FULL and math.prod(map(len, self.factors.values())) > MOST:
            raise ValueError(f"factors: more than {MOST:,} combinations of levels; design = 'one-at-a-time' has fewer")
        if not self.factors:
            raise ValueError("factors: one or more are needed")
        for (one, its), (other, others) in itertools.combinations(self.factors.items(), 2):
            if both := _named(its) & _named(others):
                raise ValueError(f"factors.{one} and factors.{other} both set {', '.join(sorted(both))}")
        return self

    def arms(self) -> list[Arm]:
        """Every combination of levels that is run."""
        first = {factor: next(iter(levels)) for factor, levels in self.factors.items()}
        if self.design is Design.FULL:
            chosen = [
                dict(zip(self.factors, levels, strict=True)) for levels in itertools.product(*self.factors.values())
            ]
        else:
            others = [(factor, level) for factor, levels in self.factors.items() for level in list(levels)[1:]]
            chosen = [first, *({**first, factor: level} for factor, level in others)]
        return [self._arm(levels) for levels in chosen]

    def _arm(self, levels: dict[str, str]) -> Arm:
        options = dict(self.options)
        for factor, level in levels.items():
            options |= self.factors[factor][level]
        return Arm(levels, options)


@dataclass(frozen=True, slots=True)
class Arm:
    """One combination of levels."""

    levels: dict[str, str]
    """Factor -> level."""
    options: Options

    @property
    def name(self) -> str:
        """Such as ``engine=tpe,flash=64KB``; a folder may have it."""
        return ",".join(f"{factor}={level}" for factor, level in self.levels.items())


def _named(levels: Mapping[str, Options]) -> set[str]:
    """Options that some level sets."""
    return {name for options in levels.values() for name in options}


LEVELS: Mapping[str, Mapping[str, Options]] = {
    "sram_model": {"exact": {}, "estimate": {"plan": "estimate"}},
    "flash_model": {"exact": {}, "estimate": {"flash_model": "parameters"}},
    "augmentation": {"on": {}, "off": {"recipe": {"augment": {}}}},
    "qat": {"on": {"qat": True}, "off": {"qat": False}},
    **{limit: {"off": {}} for limit in ("flash", "sram", "ops", "latency", "teacher")},
}
"""Levels of the command line that are no values of an option of the same name."""
NO_OPTIONS = ("sram_model", "flash_model", "augmentation")


def parse_factor(text: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """A factor of the command line, such as ``engine=dnas,tpe`` or ``augmentation=on,off``, and its levels.

    >>> parse_factor("flash=64KB,128KB")
    ('flash', {'64KB': {'flash': '64KB'}, '128KB': {'flash': '128KB'}})

    Raises:
        InputError: it has another form.
    """
    factor, equals, levels = text.partition("=")
    names = [level.strip() for level in levels.split(",")]
    factor = factor.strip().replace("-", "_")
    if not (equals and factor and all(names)) or len({*names}) < len(names):
        raise InputError(f"--vary {text!r}: expected FACTOR=LEVEL,LEVEL with different levels, such as engine=dnas,tpe")
    return factor, {name: _level(factor, name) for name in names}


def parse_option(text: str) -> tuple[str, Any]:
    """An option of every run, such as ``flash=64KB``.

    Raises:
        InputError: it has another form.
    """
    name, equals, value = text.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise InputError(f"--set {text!r}: expected OPTION=VALUE, such as flash=64KB")
    return name.strip().replace("-", "_"), _typed(value.strip())


def _level(factor: str, name: str) -> dict[str, Any]:
    known = LEVELS.get(factor, {})
    if name in known:
        return {**known[name]}
    if factor in NO_OPTIONS:
        raise InputError(f"--vary {factor}={name}: expected {' or '.join(known)}")
    return {factor: _typed(name)}


def _typed(value: str) -> Any:
    """Numbers of up to 18 digits and truth values as such; everything else is text."""
    if value in ("true", "false"):
        return value == "true"
    return int(value) if re.fullmatch(r"\d{1,18}", value) else value
