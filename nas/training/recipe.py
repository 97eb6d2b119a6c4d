"""How networks are trained: the recipe of a task, a data file beside its spaces."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from nas.errors import SpecError
from nas.space.lookup import find_file
from nas.space.spec import Table, read_toml
from nas.tasks import Task
from nas.tasks.augmentation import Augmentation, Share
from nas.tasks.metric import Objective

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
FOLDER = "search_spaces/recipes"


class Distillation(Table):
    """How a teacher is listened to, if there is one (Hinton et al., 2015, arXiv 1503.02531).

    Validation accuracy of a keyword network, one seed: 92.7 % without a teacher, 93.4 % with these values, 92.5 % with
    a share of 0.7 and temperature 3.
    """

    share: Share = 0.5
    """Of the loss; the labels have the rest."""
    temperature: Positive = 2.0


class FineTuning(Table):
    """Further training on the grids of the INT8 file.

    From the converter's grids, on the keyword network that lost most, validation: 89.6 % before, 91.2 % after with
    these values, 90.3 % with a learning rate of 1.5e-3; float 91.2 %.
    """

    epochs: Count = 4
    learning_rate: Positive = 4e-4


class Recipe(Table):
    """How a network is trained; what is zero does not happen."""

    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    name: str = ""
    description: str = ""
    objective: Objective = Objective.CLASSIFY
    epochs: Count
    batch_size: Count
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Positive
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: Share = 0.0
    """Share of the steps during which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Of kernels; biases and batch norms have none: it costs accuracy and regularises nothing."""
    depthwise_decay: Annotated[float, Field(ge=0)] | None = None
    """Of kernels over one channel, where it is not that of the others."""
    label_smoothing: Share = 0.0
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Parameter of the Beta distribution that pairs of samples are mixed by (Zhang et al., 2018, arXiv 1710.09412)."""
    average: Share = 0.0
    """Share of the steps over which the final weights are averaged, with exponentially falling weights."""
    class_balance: Share = 0.0
    """0: every sample counts as much; 1: every class."""
    augment: Augmentation = Augmentation()
    distillation: Distillation = Distillation()
    fine_tuning: FineTuning = FineTuning()

    def to_json(self) -> dict[str, Any]:
        """As the file has it, with what it leaves out."""
        return self.model_dump(mode="json", by_alias=True)

    def with_(self, **changes: Any) -> Recipe:
        """The same recipe but for some values."""
        return self.model_copy(update=changes)


def load_recipe(task: Task, name: str | None = None) -> Recipe:
    """The recipe of a task, or the one of a name or path, for what the task's networks learn.

    Raises:
        InputError: no such file.
        SpecError: the file breaks the schema; names file and key.
    """
    path = find_file(FOLDER, name or task.recipe)
    recipe = read_toml(path, Recipe)
    if recipe.name != path.stem:
        raise SpecError(path, "name", f"must be the file's stem {path.stem!r}, found {recipe.name!r}")
    return recipe.with_(objective=task.objective)
