"""Image classification: ten kinds of things on photographs of 32 x 32 pixels (MLPerf Tiny ``ic01`` and ``ic02``).

The two benchmarks differ in the reference network only, and in the accuracy that the closed division asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.tasks import builtin_images, cifar10
from nas.tasks.base import DataSet, InputQuantization, Progress, WireType
from nas.tasks.metric import Objective
from nas.tasks.sources import resolve_source

if TYPE_CHECKING:
    import torch

# Input of the benchmark's reference network (pretrainedResnet_quant.tflite), which sees pixels from 0 to 255.
REFERENCE_INPUT = InputQuantization(scale=1.0, zero_point=-128)

DATA = "ic"  # folder of the data set in $NAS_DATA and the cache, of both benchmarks

# The custom of He et al. (arXiv:1512.03385, section 4.2), who pad with zeros. Here the border is repeated, as in the
# benchmark's training script (mlcommons/tiny, image_classification/train.py): zero is black, no neutral value.
MAX_SHIFT_PIXELS = 4


@dataclass(frozen=True, slots=True)
class ImageClassification:
    """The image-classification task of MLPerf Tiny, on raw pixels."""

    name: str = "ic"
    default_space: str = "ic_micronet"  # at the budget of ResNet8 a point better than ic_resnet: measured, see README
    spaces: tuple[str, ...] = ("ic",)
    custom: bool = False
    input_shape: tuple[int, int, int] = cifar10.IMAGE_SHAPE
    classes: tuple[str, ...] = cifar10.CLASSES
    objective: Objective = Objective.CLASSIFY
    metric: str = "accuracy"
    input_quantization: InputQuantization = REFERENCE_INPUT
    wire_type: WireType = "uint8"

    def fitted(self, input_shape: tuple[int, int, int]) -> ImageClassification:
        """The images are as they are; see ``Task.fitted``."""
        return self

    def training_samples(self, source: str | Path | None = None) -> int:
        """Count the training images on the disk, or those that would be generated; see ``Task.training_samples``."""
        folder = resolve_source(DATA, source)
        if folder is not None:
            return cifar10.count_training_images(folder)
        return builtin_images.IMAGES_PER_CLASS["train"] * len(builtin_images.CLASSES)

    def load(
        self,
        source: str | Path | None = None,
        *,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> DataSet:
        """Read CIFAR-10 in its official layout, or draw images; see ``Task.load``. Pixels need no cache."""
        folder = resolve_source(DATA, source)
        return builtin_images.generate() if folder is None else cifar10.read_cifar10(folder, progress)

    def augment(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Mirror half of the images (n, c, h, w) and shift each by up to 4 pixels either way, repeating its border."""
        import torch

        count, channels, height, width = batch.shape
        draws = torch.rand(3, count, 1, generator=generator, device=generator.device).to(batch.device)
        down, right = ((draw * (2 * MAX_SHIFT_PIXELS + 1)).long() - MAX_SHIFT_PIXELS for draw in draws[:2])
        rows = (torch.arange(height, device=batch.device) + down).clamp(0, height - 1)
        columns = (torch.arange(width, device=batch.device) + right).clamp(0, width - 1)
        columns = torch.where(draws[2] < 0.5, width - 1 - columns, columns)
        images = torch.arange(count, device=batch.device)[:, None, None]
        pixels = (images * height + rows[:, :, None]) * width + columns[:, None, :]  # (n, h, w), in the flat batch
        flat = batch.permute(0, 2, 3, 1).reshape(-1, channels)  # no copy where channels are last in memory
        return flat[pixels.flatten()].view(count, height, width, channels).permute(0, 3, 1, 2)
