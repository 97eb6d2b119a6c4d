"""The data that developers keep beside the checkout: each split as the benchmark has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas.tasks import feature_cache, get_task

KEYWORDS = [171, 174, 176, 173, 167, 180, 170, 183, 183, 183, 152, 163]  # test samples of each class
SPLITS = {"kws": (7401, 1207, 2075), "ic": (45_000, 5_000, 10_000)}
UNPACKED = {"kws": "kws", "ic": "cifar10"}


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("task", SPLITS)
def test_real_samples(task: str, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "VARIANTS", 1)
    unpack = [sys.executable, str(shared_data / "unpack.py"), UNPACKED[task], str(tmp_path / "data")]
    subprocess.run(unpack, check=True, capture_output=True)
    data = get_task(task).load(tmp_path / "data", cache_dir=tmp_path / "cache")
    assert (len(data.train), len(data.validation), len(data.test)) == SPLITS[task]
    if task == "kws":
        assert np.bincount(data.test.labels).tolist() == KEYWORDS
    else:
        for split in (data.train, data.validation, data.test):
            assert np.bincount(split.labels).tolist() == [len(split) // 10] * 10
    assert data.notes == ()
    assert not data.synthetic
