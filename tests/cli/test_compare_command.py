"""Runs side by side, and pages of runs, from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


@pytest.fixture
def runs(checkout: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The reference runs that come with the project."""
    names = ("kws-64kb", "kws-256kb")
    for name in names:
        shutil.copytree(checkout / "exported" / "reference" / name, tmp_path / name)
    return Path(names[0]), Path(names[1])


def test_two_runs(call_nas: Call, runs: tuple[Path, Path]) -> None:
    done = call_nas("compare", *runs)
    assert done.code == 0
    lines = {line.split("  ")[1].strip(): line for line in done.out.splitlines() if "  " in line}
    assert "92.82%" in lines["INT8"]
    assert lines["flash"].index("63.4 KB") < lines["flash"].index(" *")  # the smaller one is marked, once
    assert lines["flash"].count("*") == lines["INT8"].count("*") == 1
    assert "kws_residual" in lines["space"]
    found = json.loads(call_nas("compare", *runs, "--json").out)["runs"]
    assert [each["run"] for each in found] == ["kws-64kb", "kws-256kb"]
    assert found[0]["flash_bytes"] == 64_960


def test_what_does_not_compare(call_nas: Call, runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert "give two runs or more" in call_nas("compare", runs[0]).err
    assert "no run in nowhere" in call_nas("compare", runs[0], "nowhere").err
    result = tmp_path / runs[1] / "result.json"
    report = json.loads(result.read_text())
    report["data"]["fingerprint"] = "another"
    result.write_text(json.dumps(report))
    assert "measured on different data" in call_nas("compare", *runs).err
    result.write_text(json.dumps({**report, "task": "vww"}))
    assert "runs of kws and vww have no scores in common" in call_nas("compare", *runs).err
    result.unlink()
    assert "the run in kws-256kb is done: there is no kws-256kb/result.json" in call_nas("compare", *runs).err


def test_a_page(call_nas: Call, runs: tuple[Path, Path], tmp_path: Path) -> None:
    done = call_nas("report", runs[0])
    assert (done.code, done.out) == (0, "kws-64kb/report.html\n")
    assert (tmp_path / "kws-64kb" / "report.html").read_text().startswith("<!doctype html>")
    assert call_nas("report", "nowhere").code == 2
