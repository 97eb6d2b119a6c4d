"""A search whose study is shared: what is written down, and what a resumed run must be given again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.engines.run_folder import RunFolder
from nas.errors import InputError
from nas.pipeline.reporter import Reporter
from nas.pipeline.request import SearchOptions, SearchPlan, plan_search
from nas.pipeline.search import first_record, resume_search

SECRET = "postgresql://me:hunter2@localhost:1/nas"
SHOWN = "postgresql://me:***@localhost:1/nas"


def plan(**given: Any) -> SearchPlan:
    return plan_search(SearchOptions("kws", ops="2M", engine="tpe", trials=1, data="builtin", **given))


def test_a_password_is_not_written_down() -> None:
    record = first_record(plan(storage=SECRET))
    assert record["request"]["storage"] == SHOWN
    assert "hunter2" not in str(record)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "is not written down: give --storage with --resume again"),
        ("sqlite:///study.db", r"was started with --storage postgresql://me:\*\*\*@localhost:1/nas, not sqlite"),
    ],
)
def test_a_resumed_run_needs_the_same_storage(tmp_path: Path, given: str | None, told: str) -> None:
    run = RunFolder.create(tmp_path / "run", first_record(plan(storage=SECRET)))
    with pytest.raises(InputError, match=told):
        resume_search(run.path, Reporter(), given)


@pytest.mark.slow
@pytest.mark.usefixtures("small_builtin")
def test_two_runs_share_one_study(tmp_path: Path, call_nas: Any) -> None:
    """The second finds the trials of the first, adds one, and both have them in their folders."""
    words = ["search", "--task", "kws", "--ops", "1M", "--data", "builtin", "--engine", "random", "--json"]
    short = [*words, "--epochs", "1", "--train-epochs", "1", "--storage", f"sqlite:///{tmp_path}/study.db"]
    first = call_nas(*short, "--trials", "2", "--out", tmp_path / "first")
    second = call_nas(*short, "--trials", "3", "--out", tmp_path / "second")
    assert (first.code, second.code) == (0, 0), second.err
    found = [RunFolder(tmp_path / name).candidates() for name in ("first", "second")]
    assert [len(candidates) for candidates in found] == [2, 3]
    assert found[1][:2] == found[0]
    other = call_nas(*short, "--trials", "4", "--seed", "1", "--out", tmp_path / "third")
    assert (other.code, other.out) == (2, "")
    assert "seed 0 there, 1 here" in other.err
