"""A data set as tensors on one device, on the grid of the network's INT8 input.

Features are kept as the INT8 values that the device will see: training, the float score and the INT8 score then
start from the same input, and a data set takes a quarter of the memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nas.tasks.base import DataSet, InputQuantization, Labels, Samples, Split
from nas.tasks.metric import ACCURACY, Flags, Metric

CHUNK_SAMPLES = 2048  # that are float32 at once: the images of CIFAR-10 together would take 0.6 GB, several times over


@dataclass(frozen=True, slots=True)
class LabelledTensors:
    """``inputs`` INT8 (n, c, h, w) and ``labels`` int64 (n,); ``anomalous`` as in ``Split``."""

    inputs: Tensor
    labels: Tensor
    anomalous: Flags | None = None


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a training run needs. ``train_inputs`` is INT8 (variants, n, c, h, w); variant 0 is not augmented."""

    train_inputs: Tensor
    train_labels: Tensor
    validation: LabelledTensors
    quantization: InputQuantization
    classes: int
    metric: Metric = ACCURACY
    train_groups: Labels | None = None
    """(n,) as in ``TrainingSplit``."""

    @property
    def device(self) -> torch.device:
        """Where all of it lies."""
        return self.train_inputs.device

    @property
    def samples(self) -> int:
        """Training samples of one epoch."""
        return self.train_inputs.shape[1]

    def dequantize(self, inputs: Tensor) -> Tensor:
        """INT8 (n, c, h, w) -> float32 features of the same shape, channels last in memory."""
        features = (inputs.float() - self.quantization.zero_point) * self.quantization.scale
        return features.contiguous(memory_format=torch.channels_last)


def training_data(
    data: DataSet,
    quantization: InputQuantization,
    device: torch.device,
    metric: Metric = ACCURACY,
) -> TrainingData:
    """Quantise the features of a data set once and put them on ``device``."""
    variants = tuple(data.train.features)
    count, height, width, channels = variants[0].shape
    train = torch.empty((len(variants), count, channels, height, width), dtype=torch.int8)
    for number, variant in enumerate(variants):
        train[number] = _quantized(variant, quantization)
    return TrainingData(
        train.to(device),
        torch.from_numpy(np.array(data.train.labels)).to(device),
        labelled_tensors(data.validation, quantization, device),
        quantization,
        len(data.classes),
        metric,
        data.train.groups,
    )


def labelled_tensors(split: Split, quantization: InputQuantization, device: torch.device) -> LabelledTensors:
    """One split, quantised, on ``device``."""
    inputs = _quantized(split.features, quantization)
    return LabelledTensors(inputs.to(device), torch.from_numpy(np.array(split.labels)).to(device), split.anomalous)


def spanning_quantization(data: DataSet) -> InputQuantization:
    """The finest grid that holds every training sample; others may saturate, as they do on the device."""
    low, high = 0.0, 0.0
    for variant in data.train.features:
        for start in range(0, len(variant), CHUNK_SAMPLES):
            chunk = np.asarray(variant[start : start + CHUNK_SAMPLES])
            low, high = min(low, float(chunk.min())), max(high, float(chunk.max()))
    return InputQuantization.spanning(low, high)


def epoch_generator(device: torch.device, seed: int, number: int) -> torch.Generator:
    """All random numbers of epoch ``number`` (from 0): an epoch does not depend on how those before it were run."""
    return torch.Generator(device).manual_seed(seed * 1_000_003 + number)


def steps_per_epoch(data: TrainingData, batch_size: int) -> int:
    """Batches of one epoch; the last one may be smaller."""
    return -(-data.samples // batch_size)


def epoch_batches(data: TrainingData, batch_size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Every training sample once, in one of its variants: float inputs (n, c, h, w) and labels (n,).

    Order and variants are the first two draws from ``generator``, which must be on the device of the data.
    """
    variants = len(data.train_inputs)
    order = torch.randperm(data.samples, generator=generator, device=data.device)
    variant = torch.randint(variants, (data.samples,), generator=generator, device=data.device)
    for rows in torch.split(order, batch_size):
        yield data.dequantize(data.train_inputs[variant[rows], rows]), data.train_labels[rows]


def _quantized(features: Samples, quantization: InputQuantization) -> Tensor:
    """Real (n, h, w, c) -> INT8 (n, c, h, w)."""
    count, height, width, channels = features.shape
    inputs = np.empty((count, channels, height, width), np.int8)
    for start in range(0, count, CHUNK_SAMPLES):
        chunk = quantization.quantize(np.asarray(features[start : start + CHUNK_SAMPLES]))
        inputs[start : start + CHUNK_SAMPLES] = chunk.transpose(0, 3, 1, 2)
    return torch.from_numpy(inputs)
