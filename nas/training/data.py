"""A data set as tensors on one device, on the grid of the network's INT8 input.

Features are kept as the INT8 values that the device will see: training, the float score and the INT8 score then
start from the same input, and a data set takes a quarter of the memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nas.tasks.base import DataSet, InputQuantization, Split


@dataclass(frozen=True, slots=True)
class LabelledTensors:
    """``inputs`` INT8 (n, c, h, w) and ``labels`` int64 (n,)."""

    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a training run needs. ``train_inputs`` is INT8 (variants, n, c, h, w); variant 0 is not augmented."""

    train_inputs: Tensor
    train_labels: Tensor
    validation: LabelledTensors
    quantization: InputQuantization
    classes: int

    def dequantize(self, inputs: Tensor) -> Tensor:
        """INT8 (n, c, h, w) -> float32 features of the same shape, channels last in memory."""
        features = (inputs.float() - self.quantization.zero_point) * self.quantization.scale
        return features.contiguous(memory_format=torch.channels_last)


def training_data(data: DataSet, quantization: InputQuantization, device: torch.device) -> TrainingData:
    """Quantise the features of a data set once and put them on ``device``."""
    train = torch.stack([_nchw(quantization.quantize(np.asarray(variant))) for variant in data.train.features])
    return TrainingData(
        train.to(device),
        torch.from_numpy(np.array(data.train.labels)).to(device),
        labelled_tensors(data.validation, quantization, device),
        quantization,
        len(data.classes),
    )


def labelled_tensors(split: Split, quantization: InputQuantization, device: torch.device) -> LabelledTensors:
    """One split, quantised, on ``device``."""
    inputs = _nchw(quantization.quantize(np.asarray(split.features)))
    return LabelledTensors(inputs.to(device), torch.from_numpy(np.array(split.labels)).to(device))


def _nchw(features: np.ndarray[tuple[int, ...], np.dtype[np.int8]]) -> Tensor:
    """(n, h, w, c) -> (n, c, h, w)."""
    return torch.from_numpy(np.ascontiguousarray(features.transpose(0, 3, 1, 2)))
