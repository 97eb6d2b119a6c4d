"""The user's own classes of images: a folder for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nas.errors import DataError
from nas.tasks.base import DataSet, InputQuantization, Progress, WireType
from nas.tasks.image_folders import find_classes, take_inventory
from nas.tasks.metric import Objective
from nas.tasks.pixel_cache import load_images
from nas.tasks.sources import default_folders, resolve_source
from nas.tasks.vww import REFERENCE_INPUT

NAME = "image"


@dataclass(frozen=True, slots=True)
class OwnImages:
    """Images of the user's own classes, in any size that is asked for; a pixel is what it is in ``vww``.

    The default space is that of ``vww``: photographs need some resolution, and its networks halve the map five times,
    where those of ``ic_resnet`` keep much of it and take memory and time in proportion.
    """

    classes: tuple[str, ...]
    name: str = NAME
    default_space: str = "vww_mobilenet"
    recipe: str = "vww"
    spaces: tuple[str, ...] = ("vww", "ic")
    custom: bool = True
    input_shape: tuple[int, int, int] = (96, 96, 3)
    objective: Objective = Objective.CLASSIFY
    metric: str = "accuracy"
    input_quantization: InputQuantization = REFERENCE_INPUT
    wire_type: WireType = "uint8"

    @classmethod
    def of(cls, source: str | Path | None) -> OwnImages:
        """The task on the classes of a data set.

        Raises:
            DataError: there is none, or it has fewer than two classes.
        """
        return cls(find_classes(_folder(source)))

    def fitted(self, input_shape: tuple[int, int, int]) -> OwnImages:
        """The same images in another size, grey or RGB."""
        return replace(self, input_shape=input_shape)

    def training_samples(self, source: str | Path | None = None) -> int:
        """Count the training images on the disk; see ``Task.training_samples``."""
        return take_inventory(_folder(source), self.classes).training_images

    def load(
        self,
        source: str | Path | None = None,
        *,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> DataSet:
        """Read the folders of images; see ``Task.load``."""
        folder = _folder(source)
        inventory = take_inventory(folder, self.classes)
        return load_images(folder.resolve().name, inventory, self.input_shape, cache_dir, progress)


def _folder(source: str | Path | None) -> Path:
    folder = resolve_source(NAME, source)
    if folder is None:
        raise DataError(
            f"the task {NAME} is for images of your own, there are no builtin ones: give --data DIR with a folder of "
            f"images for each class; {default_folders(NAME)[0]} is taken where it is there"
        )
    return folder
