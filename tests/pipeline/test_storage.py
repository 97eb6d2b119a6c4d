"""A search whose study is shared: what is written down, and what a resumed run must be given again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nas.engines.run_folder import RunFolder
from nas.errors import InputError, InterruptedRunError
from nas.pipeline.reporter import Reporter
from nas.pipeline.request import SearchOptions, SearchPlan, plan_search
from nas.pipeline.search import first_record, resume_search, start_search

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
        (
            None,
            r"was started with --storage postgresql://me:\*\*\*@localhost:1/nas: give --storage with --resume again",
        ),
        ("sqlite:///study.db", r"was started with --storage postgresql://me:\*\*\*@localhost:1/nas, not sqlite"),
    ],
)
def test_a_resumed_run_needs_the_same_storage(tmp_path: Path, given: str | None, told: str) -> None:
    run = RunFolder.create(tmp_path / "run", first_record(plan(storage=SECRET)))
    with pytest.raises(InputError, match=told):
        resume_search(run.path, Reporter(), given)


def test_a_storage_that_only_the_record_names_is_left_alone(tmp_path: Path) -> None:
    """The record may be a stranger's, and the journal would grow in a file of the user."""
    victim = tmp_path / ".bash_profile"
    run = RunFolder.create(tmp_path / "run", first_record(plan(storage=f"journal:{victim}")))
    with pytest.raises(InputError, match="give --storage with --resume again"):
        resume_search(run.path, Reporter())
    assert not victim.exists()


def test_an_interrupted_run_tells_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nas.pipeline.search.open_run_session", interrupted)
    with pytest.raises(InterruptedRunError, match=rf"--resume {tmp_path}/run --storage postgresql://me:\*\*\*@"):
        start_search(plan(storage=SECRET), tmp_path / "run", Reporter())
    with pytest.raises(InterruptedRunError):
        resume_search(tmp_path / "run", Reporter(), SECRET)


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
