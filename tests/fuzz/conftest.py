"""A trained network, and the campaigns, which are in a checkout only."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def reference(checkout: Path) -> Path:
    return checkout / "exported" / "reference" / "kws-64kb"


@pytest.fixture(autouse=True)
def campaigns(monkeypatch: pytest.MonkeyPatch) -> None:
    if not BENCHMARKS.is_dir():
        pytest.skip("campaigns are in a checkout, not in the source package")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
