from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from toy import toy_data

from nas.training.data import TrainingData


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Toy networks: more threads would only wait for each other, for long on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def data() -> TrainingData:
    return toy_data()
