"""The shell offers what the flags take."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def offered(line: str) -> set[str]:
    """What bash would be told for a line; its last word is being typed."""
    words = line.split(" ")
    asked = {"_NAS_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    command = [sys.executable, "-c", "from nas.cli.app import main; import sys; sys.argv[0] = 'nas'; main()"]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("nas se", {"search"}),
        ("nas search --task k", {"kws"}),
        ("nas search --mcu stm32f44", {"stm32f446re"}),
        ("nas search --space kws_d", {"kws_ds_cnn"}),
        ("nas search --engine t", {"tpe"}),
        ("nas search --track ", {"tensorboard", "mlflow"}),
        ("nas ablate sram", {"sram_model"}),
        ("nas train kws_ds_cnn:mlperf", {"kws_ds_cnn:mlperf-ds-cnn"}),
        ("nas train kws_ds_cnn:sm", {"kws_ds_cnn:smallest"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_are_offered(line: str, found: set[str]) -> None:
    assert offered(line) == found
