"""The texts of a submission say what was measured, on what, and what it is worth."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from types import SimpleNamespace

import pytest

from nas.submission import rules
from nas.submission.tree import CHECKLIST, TRADEMARK, UNVERIFIED, Result, checklist, describe_system, readme

EMULATED = Result(
    system="stm32l4r5zi__small",
    run="a run",
    mcu="stm32l4r5zi",
    board=False,
    benchmark="kws",
    accuracy="Top-1 90.2 %",
    throughput=12.5,
    flash_bytes=65_536,
    ram_bytes=20_480,
    network="a network",
    data="Speech Commands, 84,843 samples",
    compiler="gcc 14.2.1",
    latency_ms={"modelled": 80.04, "low": 70.0, "high": 95.55},
    instructions=9_600_000,
)
BOARD = replace(
    EMULATED, system="stm32l4r5zi_board__small", board=True, latency_ms={"measured": 81.26}, microjoules=1234.56
)
MEMORY = SimpleNamespace(sram=655_360, flash=2_097_152)


def test_a_row_of_the_table() -> None:
    cells = (
        "`stm32l4r5zi__small` | kws | Top-1 90.2 % | 9,600,000 | 80.0 ms (70.0 to 95.5), modelled | 65,536 B | 20,480 B"
    )
    assert EMULATED.row() == f"| {cells} |".replace("95.5)", f"{95.55:.1f})")
    assert BOARD.row().split(" | ")[4] == "81.3 ms, 1234.6 µJ"
    assert replace(BOARD, microjoules=None).row().split(" | ")[4] == "81.3 ms"


def test_a_system_that_is_emulated_says_so() -> None:
    found = describe_system(EMULATED, "nasorg", "Cortex-M4", 120_000_000, MEMORY)
    assert list(found) == list(rules.SYSTEM_KEYS)
    assert {key: found[key] for key in rules.NEEDED_KEYS} == {
        "Submitter": "nasorg",
        "Division": "open",
        "Status": "RDI",
    }
    assert found["Board Name"] == "stm32l4r5zi, emulated"
    assert found["SoC Memory capacity (not including processor or accelerator)"] == "655,360 B"
    assert found["SoC storage capacity"] == "2,097,152 B"
    assert found["Processor(s) Frequencies"] == "120 MHz"
    assert "No silicon was involved" in found["Hardware Notes"]
    assert found["Software Notes"] == f"{UNVERIFIED} Time is modelled."
    assert found["General Compiler(s)"] == "gcc 14.2.1"
    assert found["Training and Quantization Notes"] == "a network, trained on Speech Commands, 84,843 samples"
    assert found["Accelerator"] == "none"


def test_a_board_is_not_called_emulated() -> None:
    found = describe_system(BOARD, "nasorg", "Cortex-M4", 120_000_000, MEMORY)
    assert found["Board Name"] == "stm32l4r5zi"
    assert "measured on the board" in found["Hardware Notes"]
    assert found["Software Notes"] == UNVERIFIED
    assert found["General Compiler(s)"] == "(that of the board's firmware)"


@pytest.mark.parametrize(
    ("results", "said", "unsaid"),
    [
        ([EMULATED], ["No silicon was involved"], ["Boards:", "Emulated systems:", "measured on the board"]),
        ([BOARD], ["Accuracy and time were measured on the board"], ["Boards:", "No silicon"]),
        ([EMULATED, BOARD], ["Emulated systems: No silicon", "Boards: Accuracy and time"], []),
    ],
)
def test_the_readme(results: list[Result], said: list[str], unsaid: list[str]) -> None:
    text = readme("nasorg", results)
    assert text.startswith("# nasorg: MLPerf Tiny v1.4, open division, unverified\n")
    assert f"**{UNVERIFIED}**" in text
    assert TRADEMARK in text
    for result in results:
        assert result.row() in text
        assert f"- `{result.system}`, kws: a network; Speech Commands, 84,843 samples\n" in text
    assert all(each in text for each in said)
    assert not any(each in text for each in unsaid)


@pytest.mark.parametrize(("result", "board"), [(EMULATED, []), (BOARD, ["--target", "serial:PORT"])])
def test_the_command_that_repeats_it(result: Result, board: list[str]) -> None:
    (line,) = re.findall(r"^    (nas submit .*)$", readme("nas org", [result]), re.MULTILINE)
    wanted = ["nas", "submit", "a run", "--org", "nas org", "--mcu", "stm32l4r5zi", *board]
    assert shlex.split(line) == [*wanted, "--data", "FILES", "--out", "submission/"]


@pytest.mark.parametrize(
    ("results", "category", "reality"),
    [
        ([EMULATED], "RDI, emulated.", "time is modelled, not measured."),
        ([BOARD], "RDI; a board that others can get may be Available.", "time is measured on the board."),
        (
            [EMULATED, BOARD],
            "RDI; a board that others can get may be Available.",
            "Emulated systems: time is modelled, not measured; Boards: time is measured on the board.",
        ),
    ],
)
def test_the_checklist_says_what_is_real(results: list[Result], category: str, reality: str) -> None:
    text = checklist("nasorg", results)
    assert f"Category: {category}\n" in text
    assert f"reflect real performance? {reality}\n" in text
    assert re.findall(r"^(\d+)\.", text, re.MULTILINE) == [str(number) for number in range(1, 16)]
    assert all(f"- {each.system}, kws: Top-1 90.2 %\n" in text for each in results)
    assert UNVERIFIED in text
    assert CHECKLIST == "TinyMLPerf_v1.4_Submission_Checklist.md"
