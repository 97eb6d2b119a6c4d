"""``import nas`` offers a small set of functions that change on purpose only, and do what the commands do."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nas

SIGNATURES = {
    "ablate": "(study: 'str | Path | Mapping[str, Any]', *, out: 'str | Path | None' = None, jobs: 'int' = 1, "
    "reporter: 'Reporter | None' = None) -> 'StudyResult'",
    "compare": "(*runs: 'str | Path') -> 'list[dict[str, Any]]'",
    "cost_of": "(what: 'str | Path') -> 'ModelCost | SpaceCost'",
    "resume": "(run: 'str | Path', *, storage: 'str | None' = None, reporter: 'Reporter | None' = None) "
    "-> 'SearchResult'",
    "search": "(task: 'str', *, out: 'str | Path | None' = None, reporter: 'Reporter | None' = None, "
    "**options: 'Any') -> 'SearchResult'",
    "train": "(network: 'str | Path', *, out: 'str | Path | None' = None, reporter: 'Reporter | None' = None, "
    "**options: 'Any') -> 'dict[str, Any]'",
    "validate": "(model: 'str | Path', task: 'str', *, data: 'str | None' = None, target: 'str' = 'host', "
    "reporter: 'Reporter | None' = None) -> 'dict[str, Any]'",
    "write_report": "(run: 'str | Path', out: 'str | Path | None' = None) -> 'Path'",
}


def test_what_is_offered_is_what_users_rely_on() -> None:
    assert nas.__all__ == sorted(nas.__all__)
    functions = {name for name in nas.__all__ if inspect.isfunction(getattr(nas, name))}
    assert {name: str(inspect.signature(getattr(nas, name))) for name in functions} == SIGNATURES
    assert set(nas.__all__) - functions == {"NasError", "__version__"}


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_each_says_what_it_takes_and_what_it_raises(name: str) -> None:
    function = getattr(nas, name)
    text = inspect.getdoc(function)
    assert text is not None
    assert "Raises:" in text
    taken = [each.name for each in inspect.signature(function).parameters.values()]
    described = text.partition("Args:")[2].partition("Raises:")[0]
    if name not in ("compare", "write_report"):
        assert all(f"{each}:" in described for each in taken)


@pytest.fixture
def run(checkout: Path, tmp_path: Path) -> Path:
    shutil.copytree(checkout / "exported" / "reference" / "kws-64kb", tmp_path / "kws-64kb")
    return tmp_path / "kws-64kb"


@pytest.mark.slow
def test_they_do_what_the_commands_do(run: Path, run_nas: Callable[..., Any]) -> None:
    told = json.loads(run_nas("cost", str(run), "--json").out)
    assert nas.cost_of(run).to_json()["sram_bytes"] == told["sram_bytes"] > 0
    assert nas.compare(run, run) == json.loads(run_nas("compare", str(run), str(run), "--json").out)["runs"]
    page = nas.write_report(run, run / "page.html")
    assert page.read_bytes() == Path(run_nas("report", str(run)).out.strip()).read_bytes()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nas.search("kws", flsh="64KB"), "flsh"),
        (lambda: nas.search("kws", flash="64 miles"), "64 miles"),
        (lambda: nas.train("kws_ds_cnn:mlperf-ds-cnn", epoch=3), "unexpected keyword argument 'epoch'"),
        (lambda: nas.train("kws_ds_cnn:mlperf", data="builtin"), "has no point 'mlperf'"),
        (lambda: nas.resume("nowhere"), "no run in nowhere"),
        (lambda: nas.validate("nowhere.tflite", "kws"), "nowhere.tflite"),
        (lambda: nas.compare("nowhere"), "two runs or more"),
        (lambda: nas.ablate({"factors": {}}), "the study: "),
        (lambda: nas.ablate("engine"), "did you mean 'engines'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_an_error_of_ours(
    call: Callable[[], object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(nas.NasError, match=words):
        call()
    assert not list(tmp_path.iterdir())
