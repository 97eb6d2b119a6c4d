"""The list of faults that the suite must notice fits the code as it is: ``benchmarks/honesty_mutants.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_fault_can_be_put_into_the_code_and_names_its_tests() -> None:
    faults = tomllib.loads((ROOT / "benchmarks/honesty_mutants.toml").read_text())["mutant"]
    assert len(faults) > 50
    for fault in faults:
        code = (ROOT / fault["file"]).read_text()
        assert code.count(fault["old"]) == 1, fault["breaks"]
        compile(code.replace(fault["old"], fault["new"]), fault["file"], "exec")
        for test in fault["tests"]:
            file, _, name = test.partition("::")
            assert name.split("[")[0] in (ROOT / file).read_text(), test
