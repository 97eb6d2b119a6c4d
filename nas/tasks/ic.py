"""Image classification: ten kinds of things on photographs of 32 x 32 pixels (MLPerf Tiny ``ic01`` and ``ic02``).

The two benchmarks differ in the reference network only, and in the accuracy that the closed division asks for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.tasks import builtin_images, cifar10
from nas.tasks.base import DataSet, InputQuantization, Progress, WireType
from nas.tasks.metric import Objective
from nas.tasks.sources import resolve_source

# Input of the benchmark's reference network (pretrainedResnet_quant.tflite), which sees pixels from 0 to 255.
REFERENCE_INPUT = InputQuantization(scale=1.0, zero_point=-128)

DATA = "ic"  # folder of the data set in $NAS_DATA and the cache, of both benchmarks


@dataclass(frozen=True, slots=True)
class ImageClassification:
    """The image-classification task of MLPerf Tiny, on raw pixels."""

    name: str = "ic"
    default_space: str = "ic_micronet"  # at the budget of ResNet8 a point better than ic_resnet: measured, see README
    recipe: str = "ic"
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
