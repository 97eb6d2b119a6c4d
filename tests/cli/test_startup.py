"""What must answer at once does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

import nas
from nas.units import parse_bytes

HEAVY = ("torch", "tensorflow", "optuna", "onnx", "onnx2tf", "ai_edge_litert", "tflite_micro", "scipy", "soundfile")
IMPORTED = f"""
import atexit, sys
atexit.register(lambda: print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr))
from nas.cli.app import main
main()
"""
REFUSED = ("search", "--task", "kws", "--flash", "2KB")
QUICK = [
    ("--help",),
    ("search", "--help"),
    ("--version",),
    ("spaces", "--json"),
    ("mcus", "--json"),
    REFUSED,
    ("search", "--task", "kws", "--flash", "256KB", "--data", "builtin", "--dry-run"),
]


@pytest.mark.sweep
@pytest.mark.parametrize("words", QUICK, ids=" ".join)
def test_nothing_heavy_is_imported(words: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED, *words], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_help_answers_in_half_a_second(run_nas: Callable[..., object]) -> None:
    done = run_nas("--help")
    assert done.code == 0
    assert done.cpu_seconds < 0.5
    assert done.err == ""
    for word in ("search", "train", "validate", "spaces", "mcus", "nas search --task kws --flash 256KB"):
        assert word in done.out


def test_the_version_is_that_of_the_package(run_nas: Callable[..., object]) -> None:
    assert run_nas("--version").out == f"{nas.__version__}\n"


def test_an_impossible_budget_is_refused_at_once(run_nas: Callable[..., object]) -> None:
    """In under a second; processor time is asked for here, which other work on the machine does not stretch."""
    done = run_nas(*REFUSED, "--out", "run")
    assert (done.code, done.out) == (3, "")
    assert done.cpu_seconds < 1.0
    lines = done.err.splitlines()
    assert len(lines) == 2
    assert "2.0 KB (2,048 B), but the smallest network of kws_micronet" in lines[0]
    assert "needs flash 2.7 KB (2,752 B)" in lines[0]


def test_the_nearest_feasible_budget_is_accepted(run_nas: Callable[..., object]) -> None:
    nearest = re.search(r"nearest feasible budget: --flash (\w+)", run_nas(*REFUSED).err)
    assert nearest is not None
    done = run_nas("search", "--task", "kws", "--flash", nearest[1], "--data", "builtin", "--dry-run", "--json")
    assert done.code == 0
    assert json.loads(done.out)["budget"]["flash_bytes"] == parse_bytes(nearest[1])
