"""Whatever was predicted: a file that exceeds its budget is no success."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.budget import Budget, load_mcu
from nas.cost.model import Cost
from nas.engines import Candidate
from nas.errors import ValidationError
from nas.pipeline import winner
from nas.pipeline.cell import measured as measured_run
from nas.pipeline.front import choose_winners
from nas.pipeline.report import _used
from nas.pipeline.winner import Measured, require_fit
from nas.space import load_space

CLOCK = load_mcu("stm32l4r5zi").clock()  # type: ignore[union-attr]
PREDICTED, MEASURED = Cost(1, 1, 4000, 2500), Measured(3000, 2000, 1500)
EXACT = {"flash_bytes": 3000, "sram_bytes": 2000, "ops": 4000, "latency_ms": 2.5}
TOLD = {"flash_bytes": "flash_bytes 3,000 of 2,999", "sram_bytes": "sram_bytes 2,000 of 1,999"}
TOLD |= {"ops": "ops 4,000 of 3,999", "latency_ms": "latency_us 2,500 of 2,499"}


def test_a_budget_may_be_used_to_the_last_byte(tmp_path: Path) -> None:
    require_fit(PREDICTED, MEASURED, Budget(**EXACT, clock=CLOCK), tmp_path)  # type: ignore[arg-type]
    require_fit(PREDICTED, MEASURED, Budget(), tmp_path)


@pytest.mark.parametrize("name", TOLD)
def test_one_more_than_a_bound_is_refused(name: str, tmp_path: Path) -> None:
    """The predictions of flash and SRAM would fit: what counts is the file."""
    bounds: Any = {**EXACT, name: EXACT[name] - (0.001 if name == "latency_ms" else 1)}
    with pytest.raises(ValidationError, match=f"exceeds its budget: {TOLD[name]}; the files are in"):
        require_fit(PREDICTED, MEASURED, Budget(**bounds, clock=CLOCK), tmp_path)


def test_every_broken_bound_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"3,000 of 1, sram_bytes 2,000 of 2, ops 4,000 of 3;"):
        require_fit(PREDICTED, MEASURED, Budget(1, 2, 3), tmp_path)


def test_the_report_tells_the_share_of_what_was_measured() -> None:
    found: Any = type("Found", (), {"predicted": PREDICTED, "measured": MEASURED})
    assert _used(found, Budget(6000, 1000, 8000)) == {"flash_bytes": 0.5, "sram_bytes": 2.0, "ops": 0.5}


def test_no_candidate_that_exceeds_a_budget_becomes_its_winner(tmp_path: Path) -> None:
    network = load_space("ic_resnet").smallest()
    candidates = [Candidate(i, network, Cost(10 * i, i, i), i / 10, 1.0) for i in range(1, 6)]
    places = choose_winners(candidates, [Budget(30), Budget(sram_bytes=2), Budget(ops=0)], tmp_path)
    assert [(place.name, place.candidate.cost.ops) for place in places] == [("winner", 3), ("winner-2", 2)]


def test_a_run_of_a_study_fits_only_if_its_file_does(tmp_path: Path) -> None:
    (tmp_path / "winner").mkdir()
    (tmp_path / "candidates.jsonl").write_text("")
    proof = {
        **dict.fromkeys(("int8_score", "float_score", "float_validation_score", "metric", "summary"), 0),
        "measured": {"flash_bytes": 100, "sram_bytes": 50},
        "predicted": {"flash_bytes": 1, "sram_bytes": 1, "ops": 7},
        "latency_ms": None,
        "train_seconds": 1.0,
        "data": {"synthetic": False, "name": "made"},
    }
    (tmp_path / "winner" / "validation.json").write_text(json.dumps(proof))
    for flash, sram, fits in ((100, 50, True), (99, 50, False), (100, 49, False), (None, None, True)):
        budget = {"flash_bytes": flash, "sram_bytes": sram}
        (tmp_path / "run.json").write_text(json.dumps({"schema": 1, "budget": budget, "search_seconds": 1.0}))
        found = measured_run(tmp_path)
        assert found is not None
        assert found["fits"] is fits


@pytest.mark.slow
@pytest.mark.usefixtures("small_builtin")
def test_a_search_whose_file_grew_ends_with_exit_code_4(
    call_nas: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As if the prediction had been 16 bytes too low, for a budget that only the smallest network is within."""
    predicted = Budget().cost(load_space("ic_micronet").smallest())
    smallest = predicted.flash_bytes
    plan = winner.with_plan
    monkeypatch.setattr(winner, "with_plan", lambda *given: (plan(*given)[0] + bytes(16), None))
    task = ("--task", "ic", "--space", "ic_micronet", "--data", "builtin", "--json")
    short = ("--engine", "random", "--trials", "1", "--epochs", "1", "--train-epochs", "1", "--no-qat")
    done = call_nas("search", *task, *short, "--flash", f"{smallest}B", "--out", "run")
    assert (done.code, done.out) == (4, "")
    assert f"exceeds its budget: flash_bytes {smallest + 16:,} of {smallest:,}" in done.err
    measured = json.loads((tmp_path / "run" / "winner" / "validation.json").read_text())["measured"]
    assert (measured["flash_bytes"], measured["sram_bytes"]) == (smallest + 16, predicted.sram_bytes)
    assert not (tmp_path / "run" / "result.json").exists()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] != "done"
