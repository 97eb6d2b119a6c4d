from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.cli.tables import _parity

Call = Callable[..., Any]
DRY_RUN = ("search", "--task", "kws", "--flash", "256KB", "--sram", "128KB", "--data", "builtin", "--dry-run")


def only_json(text: str) -> Any:
    """One JSON value and nothing else on stdout."""
    value, end = json.JSONDecoder().raw_decode(text)
    assert text[end:] == "\n"
    return value


def test_dry_run_is_one_json_object_and_does_nothing(call_nas: Call, tmp_path: Path) -> None:
    done = call_nas(*DRY_RUN, "--json", "--trials", "5", "--epochs", "8", "--time", "45m")
    assert (done.code, done.err) == (0, "")
    plan = only_json(done.out)
    assert plan["space"] == "kws_micronet"
    assert plan["space_size"] == sum(69**depth for depth in range(2, 11))
    assert plan["budget"] == {"flash_bytes": 262_144, "sram_bytes": 131_072, "ops": None, "latency_ms": None}
    assert plan["smallest"]["flash_bytes"] == 2752
    assert plan["largest"]["ops"] == 187_810_824
    assert (plan["engine"], plan["tme"]) == ("dnas", 1.47)  # 8 epochs of shared weights and finals for 40 of the winner
    assert 0 < plan["minutes"] <= 45
    assert list(tmp_path.iterdir()) == []


def test_dry_run_in_words(call_nas: Call) -> None:
    done = call_nas(*DRY_RUN)
    for words in (
        "SYNTHETIC",
        "2.48e+18 networks",
        "smallest  flash 2.7 KB (2,752 B)",
        "flash_bytes 262,144",
        "5 m 0 s",
    ):
        assert words in done.out


def test_spaces(call_nas: Call, checkout: Path) -> None:
    rows = {row["name"]: row for row in only_json(call_nas("spaces", "--json").out)}
    assert set(rows) == {path.stem for path in (checkout / "search_spaces").glob("*.toml")}
    for row in rows.values():
        assert row["task"] == row["name"].partition("_")[0]
        assert row["smallest"]["flash_bytes"] < row["largest"]["flash_bytes"]
    assert rows["kws_micronet"]["points"] == ["micronet-kws-s", "micronet-kws-m", "micronet-kws-l"]
    shown = call_nas("spaces").out
    assert all(name in shown for row in rows.values() for name in (row["name"], *row["points"]))


@pytest.mark.slow
def test_mcus(call_nas: Call, checkout: Path) -> None:
    rows = {row["name"]: row for row in only_json(call_nas("mcus", "--json").out)}
    assert set(rows) == {path.stem for path in (checkout / "constraints").glob("*.toml")}
    assert rows["stm32f446re"]["core"] == "Cortex-M4"
    assert (rows["stm32f446re"]["flash_bytes"], rows["stm32f446re"]["sram_bytes"]) == (524_288, 131_072)
    shown = call_nas("mcus").out
    assert all(name in shown for name in rows)


def test_files_of_the_user_are_listed_too(
    call_nas: Call, write_space: Callable[..., Path], tmp_path: Path, checkout: Path
) -> None:
    for kind, source in (("search_spaces", write_space()), ("constraints", checkout / "constraints/stm32f446re.toml")):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "toy.toml").write_text(source.read_text().replace('"stm32f446re"', '"toy"'))
    for command in ("spaces", "mcus"):
        assert "toy" in [row["name"] for row in only_json(call_nas(command, "--json").out)]


@pytest.mark.parametrize("words", [(), ("train",), ("validate",)])
def test_a_command_without_words_shows_its_help(call_nas: Call, words: tuple[str, ...]) -> None:
    assert "Usage: " in call_nas(*words).out


def test_an_mcu_sets_both_budgets(call_nas: Call) -> None:
    words = ("search", "--task", "kws", "--mcu", "stm32f746zg", "--latency", "200ms", "--data", "builtin")
    budget = only_json(call_nas(*words, "--dry-run", "--json").out)["budget"]
    assert budget["flash_bytes"] == 1_048_576 - 102_400
    assert budget["sram_bytes"] == 327_680 - 8_192
    assert budget["latency_ms"] == 200
    assert budget["ops"] is None


def test_a_search_without_flags_is_guided(run_nas: Call) -> None:
    """What is asked for, what it may be, and a command that works."""
    done = run_nas("search")
    assert (done.code, done.out) == (2, "")
    for word in ("--task kws", "--mcu stm32f446re", "--data FOLDER", "nas search --help"):
        assert word in done.err
    (example,) = re.findall(r"^  try: nas (.*?);", done.err, re.MULTILINE)
    assert run_nas(*example.split(), "--dry-run").code == 0


def test_a_network_that_decides_nothing_has_no_agreement() -> None:
    """In place of "the same class for 0% of 8 samples", or for 100 % of none."""
    pair = {"decided": 0, "decided_agreement": None, "argmax_agreement": 0.0, "sqnr_db": 20.0}
    told = _parity({"pairs": {"torch/tflm": pair}, "samples": 8}, "accuracy")
    assert told == "parity: torch is confident of none of 8 samples, so class agreement is not known; SQNR 20.0 dB"
    pair |= {"decided": 5, "decided_agreement": 0.8}
    assert "torch and TFLM agree on 80% of 5 confident samples (of 8), SQNR" in _parity(
        {"pairs": {"torch/tflm": pair}, "samples": 8}, "accuracy"
    )
