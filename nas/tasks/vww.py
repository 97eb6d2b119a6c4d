"""Visual wake words: is there a person in the photograph or not (MLPerf Tiny ``vww01``)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nas.tasks import builtin_images
from nas.tasks.base import DataSet, InputQuantization, Progress, WireType
from nas.tasks.image_folders import take_inventory
from nas.tasks.metric import Objective
from nas.tasks.pixel_cache import load_images
from nas.tasks.sources import resolve_source

# Input of the benchmark's reference network (vww_96_int8.tflite), which sees pixels from 0 to 1: to the last bit of its
# float32.
REFERENCE_INPUT = InputQuantization(scale=0.003921568859368563, zero_point=-128)
CLASSES = ("non_person", "person")  # in label order


@dataclass(frozen=True, slots=True)
class VisualWakeWords:
    """The person-detection task of MLPerf Tiny, on raw pixels; the images may be smaller or grey.

    The default space has few operators. Those of ``vww_micronet``, up to 70, take so much of the arena for themselves
    that within the reference's SRAM a search starts at a third of the reference's flash and ops.
    """

    name: str = "vww"
    default_space: str = "vww_mobilenet"
    recipe: str = "vww"
    spaces: tuple[str, ...] = ("vww",)
    custom: bool = False
    input_shape: tuple[int, int, int] = (96, 96, 3)
    classes: tuple[str, ...] = CLASSES
    objective: Objective = Objective.CLASSIFY
    metric: str = "accuracy"
    input_quantization: InputQuantization = REFERENCE_INPUT
    wire_type: WireType = "uint8"

    def fitted(self, input_shape: tuple[int, int, int]) -> VisualWakeWords:
        """The same photographs in another size, grey or RGB."""
        return replace(self, input_shape=input_shape)

    def training_samples(self, source: str | Path | None = None) -> int:
        """Count the training images on the disk, or those that would be drawn; see ``Task.training_samples``."""
        folder = resolve_source(self.name, source)
        if folder is not None:
            return take_inventory(folder, CLASSES).training_images
        return builtin_images.PEOPLE_PER_CLASS["train"] * len(CLASSES)

    def load(
        self,
        source: str | Path | None = None,
        *,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> DataSet:
        """Read folders ``person`` and ``non_person``, or draw images; see ``Task.load``."""
        folder = resolve_source(self.name, source)
        if folder is None:
            return builtin_images.generate_people(self.input_shape)
        return load_images(self.name, take_inventory(folder, CLASSES), self.input_shape, cache_dir, progress)
