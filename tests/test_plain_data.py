"""What costs, budgets and submissions are told in is plain data: it compares by value, and nobody changes it."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import Any

import pytest

import nas.budget
import nas.cost
import nas.submission

NAMES = ["nas.budget"] + [
    f"{package.__name__}.{module.name}"
    for package in (nas.cost, nas.submission)
    for module in pkgutil.iter_modules(package.__path__)
]
CLASSES: list[Any] = [
    value
    for name in NAMES
    for value in vars(importlib.import_module(name)).values()
    if isinstance(value, type) and "__dataclass_params__" in vars(value) and value.__module__ == name
]


@pytest.mark.parametrize("kind", CLASSES, ids=[kind.__qualname__ for kind in CLASSES])
def test_it_cannot_be_changed(kind: Any) -> None:
    one = object.__new__(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, dataclasses.fields(kind)[0].name, 1)
