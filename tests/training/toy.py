"""A toy problem for trainings: is the left or the right half of a picture brighter?"""

from __future__ import annotations

import torch
from torch import Tensor

from nas.models.network import Network
from nas.space import Architecture, Block
from nas.tasks.augmentation import Augmentation
from nas.tasks.base import InputQuantization
from nas.training.data import LabelledTensors, TrainingData
from nas.training.recipe import Recipe

ARCHITECTURE = Architecture(
    "toy",
    "toy",
    (6, 6, 1),
    2,
    (Block("stem", "conv", 4, (3, 3), (1, 1)), Block("tail", "conv", 6, (3, 6), (2, 6))),
    "pool_dense",
)


class Jitter(Augmentation):
    def __call__(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return batch + 0.1 * torch.randn(batch.shape, generator=generator)


RECIPE = Recipe(
    epochs=6,
    batch_size=20,
    learning_rate=8e-3,
    warmup=0.1,
    weight_decay=5e-2,
    label_smoothing=0.1,
    augment=Jitter(),
)


def some_samples(count: int, seed: int) -> LabelledTensors:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=generator)
    inputs = torch.randint(-100, 100, (count, 1, 6, 6), generator=generator)
    for half in (0, 1):
        inputs[labels == half, :, :, 3 * half : 3 * half + 3] += 27
    return LabelledTensors(inputs.to(torch.int8), labels)


def toy_data() -> TrainingData:
    """Two variants of each training sample, the second one upside down."""
    train_split = some_samples(200, seed=1)
    variants = torch.stack([train_split.inputs, train_split.inputs.flip(2)])
    return TrainingData(variants, train_split.labels, some_samples(200, seed=2), InputQuantization(0.02, 0), 2)


def same(a: Network, b: Network) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
