"""What a recipe means for the optimiser."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from nas.training.recipe import Recipe

MOMENTUM = 0.9  # of SGD, Nesterov's


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Kernels, kernels over one channel, and the rest, each with its weight decay."""
    decay = recipe.weight_decay if recipe.depthwise_decay is None else recipe.depthwise_decay
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in network.parameters():
        single = parameter.ndim == 4 and parameter.shape[1] == 1
        kind = 0.0 if parameter.ndim <= 1 else decay if single else recipe.weight_decay
        groups.setdefault(kind, []).append(parameter)
    return [{"params": parameters, "weight_decay": each} for each, parameters in groups.items()]


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """For a network that is already on its device; ``fused`` is one kernel instead of one per parameter."""
    groups = parameter_groups(network, recipe)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=MOMENTUM, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, progress: float) -> None:
    """Linear warm-up, then a cosine to zero or nothing more; ``progress`` runs from 0 to 1 over the whole training."""
    if progress < recipe.warmup:
        share = progress / recipe.warmup
    elif recipe.schedule == "constant":
        share = 1.0
    else:
        share = (1 + math.cos(math.pi * (progress - recipe.warmup) / (1 - recipe.warmup))) / 2
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * share
