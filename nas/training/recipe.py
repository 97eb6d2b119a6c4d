"""How a network is trained: the recipe, and what follows from it for the optimiser."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nas import defaults
from nas.tasks import Task
from nas.tasks.metric import Objective


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained."""

    epochs: int
    batch_size: int = defaults.BATCH_SIZE
    learning_rate: float = defaults.LEARNING_RATE
    weight_decay: float = defaults.WEIGHT_DECAY
    warmup: float = defaults.LEARNING_WARM_UP
    label_smoothing: float = defaults.LABEL_SMOOTHING
    objective: Objective = Objective.CLASSIFY


def recipe_for(task: Task, epochs: int) -> Recipe:
    """How networks of a task are trained."""
    return Recipe(epochs, objective=task.objective)


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Weight decay for kernels only: decaying biases and batch norms costs accuracy and regularises nothing."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": recipe.weight_decay}, {"params": rest, "weight_decay": 0.0}]


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW over a network that is already on its device; ``fused`` is one kernel instead of one per parameter."""
    return torch.optim.AdamW(parameter_groups(network, recipe), lr=recipe.learning_rate, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, progress: float) -> None:
    """Linear warm-up, then a cosine to zero; ``progress`` runs from 0 to 1 over the whole training."""
    if progress < recipe.warmup:
        share = progress / recipe.warmup
    else:
        share = (1 + math.cos(math.pi * (progress - recipe.warmup) / (1 - recipe.warmup))) / 2
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * share
