"""The promises that ``nas`` and ``nas.errors`` make in their own words."""

from __future__ import annotations

import re

import pytest

import nas
from nas import errors

DOCUMENTED = {name: int(code) for name, code in re.findall(r"(\w+Error)\s+(\d+)  ", errors.__doc__ or "")}


def all_errors(root: type[errors.NasError]) -> list[type[errors.NasError]]:
    return [root, *(error for child in root.__subclasses__() for error in all_errors(child))]


def test_public_names_are_there_and_sorted() -> None:
    assert nas.__all__ == sorted(nas.__all__)
    assert all(hasattr(nas, name) for name in nas.__all__)


@pytest.mark.parametrize("error", all_errors(errors.NasError), ids=lambda error: error.__name__)
def test_exit_code_is_the_documented_one(error: type[errors.NasError]) -> None:
    assert error.exit_code == DOCUMENTED[error.__name__]


def test_the_drawn_tree_has_no_error_too_many() -> None:
    assert set(DOCUMENTED) == {error.__name__ for error in all_errors(errors.NasError)}


def test_a_spec_error_names_file_table_and_problem() -> None:
    assert str(errors.SpecError("a.toml", "stage[stem].width", "is wrong")) == "a.toml: stage[stem].width: is wrong"
    assert str(errors.SpecError("a.toml", "", "not TOML")) == "a.toml: not TOML"


def test_an_unknown_option_is_the_callers_fault() -> None:
    with pytest.raises(errors.InputError, match="flsh"):
        nas.search("kws", flsh="256KB")
