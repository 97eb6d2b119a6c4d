from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nas.tasks.base import DataSet, InputQuantization, Split, TrainingSplit
from nas.training import data as data_module
from nas.training.data import epoch_batches, spanning_quantization, steps_per_epoch, training_data

GRID = InputQuantization(scale=0.5, zero_point=10)


@pytest.fixture
def dataset() -> DataSet:
    """Two variants of 3 samples (h, w, c) = (4, 3, 2); every value tells where it was."""
    features = np.arange(2 * 3 * 24, dtype=np.float32).reshape(2, 3, 4, 3, 2) / 4
    labels = np.array([0, 1, 1])
    return DataSet(
        "numbers",
        True,
        ("a", "b"),
        TrainingSplit(features, labels),
        Split(features[1], labels),
        Split(features[0], labels),
    )


def test_channels_come_first_and_values_lie_on_the_grid(dataset: DataSet) -> None:
    data = training_data(dataset, GRID, torch.device("cpu"))
    assert data.train_inputs.shape == (2, 3, 2, 4, 3)
    assert data.train_inputs.dtype == torch.int8
    assert data.validation.inputs.shape == (3, 2, 4, 3)
    assert data.train_labels.tolist() == data.validation.labels.tolist() == [0, 1, 1]
    assert data.classes == 2
    value = dataset.train.features[1, 2, 3, 1, 0]
    assert data.train_inputs[1, 2, 0, 3, 1] == int(value / 0.5 + 10)


def test_what_the_network_sees_is_within_a_step_of_the_features(dataset: DataSet) -> None:
    data = training_data(dataset, GRID, torch.device("cpu"))
    seen = data.dequantize(data.train_inputs[0]).permute(0, 2, 3, 1).numpy()
    assert seen.dtype == np.float32
    assert np.abs(seen - dataset.train.features[0]).max() < 0.5


def test_pixels_are_kept_exactly_in_chunks_too(dataset: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "CHUNK_SAMPLES", 4)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 10, 4, 3, 2), np.uint8)
    train = TrainingSplit(pixels, np.zeros(10, np.int64))
    data = training_data(replace(dataset, train=train), InputQuantization(1.0, -128), torch.device("cpu"))
    seen = data.dequantize(data.train_inputs[0]).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(seen, pixels[0])


def test_the_data_set_itself_is_left_as_it_was(dataset: DataSet) -> None:
    data = training_data(dataset, GRID, torch.device("cpu"))
    data.train_labels[:] = 7
    data.train_inputs[:] = 7
    assert dataset.train.labels.tolist() == [0, 1, 1]
    assert dataset.train.features[0, 0, 0, 0, 1] == 0.25


@pytest.mark.parametrize(("low", "high"), [(-3.0, 5.0), (1.0, 2.0), (-2.0, -1.0)])
def test_the_spanning_grid_ends_where_the_training_samples_do(
    dataset: DataSet, monkeypatch: pytest.MonkeyPatch, low: float, high: float
) -> None:
    """At the extremes of all variants and chunks, and at zero, which a grid must hold."""
    monkeypatch.setattr(data_module, "CHUNK_SAMPLES", 2)
    features = np.random.default_rng(0).uniform(low + 0.1, high - 0.1, (2, 7, 4, 3, 2))
    features[0, 0, 1, 2, 0], features[1, 6, 2, 1, 1] = low, high
    found = spanning_quantization(replace(dataset, train=TrainingSplit(features, np.zeros(7, np.int64))))
    step = (max(high, 0) - min(low, 0)) / 255
    assert found.scale == pytest.approx(step, rel=1e-5)
    assert found.scale * (-128 - found.zero_point) == pytest.approx(min(low, 0), abs=step)
    assert found.scale * (127 - found.zero_point) == pytest.approx(max(high, 0), abs=step)


@pytest.mark.parametrize(("samples", "batch", "steps"), [(10, 5, 2), (11, 5, 3), (4, 5, 1)])
def test_an_epoch_has_a_smaller_last_batch(dataset: DataSet, samples: int, batch: int, steps: int) -> None:
    train = TrainingSplit(np.zeros((1, samples, 4, 3, 2), np.float32), np.zeros(samples, np.int64))
    data = training_data(replace(dataset, train=train), GRID, torch.device("cpu"))
    batches = list(epoch_batches(data, batch, torch.Generator().manual_seed(0)))
    assert steps_per_epoch(data, batch) == steps == len(batches)
    assert sum(len(labels) for _, labels in batches) == samples
