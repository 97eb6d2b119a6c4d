"""What a network is to learn from a batch: labels, mixed labels, a teacher's answers, its own input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nas.models.quantized import Trainable
from nas.tasks.metric import Objective
from nas.training.data import TrainingData
from nas.training.recipe import Distillation, Recipe
from nas.training.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Criterion:
    """The loss of a training.

    Attributes:
        class_weights: (classes,), or ``None`` where every sample counts as much.
        teacher: a network of the same input and classes, or ``None``.
    """

    recipe: Recipe
    class_weights: Tensor | None = None
    teacher: Trainable | None = None

    @classmethod
    def of(cls, recipe: Recipe, data: TrainingData, teacher: Trainable | None = None) -> Criterion:
        """For a data set; the teacher's statistics are held still from now on."""
        balanced = recipe.class_balance > 0 and recipe.objective is Objective.CLASSIFY
        weights = class_weights(data.train_labels, data.classes, recipe.class_balance) if balanced else None
        return cls(recipe, weights, None if teacher is None else teacher.eval().to(data.device))

    def __call__(self, network: Trainable, inputs: Tensor, targets: Tensor, runtime: Runtime) -> Tensor:
        """Mean loss of a batch: the forward pass in the runtime's precision, the loss in float32.

        Args:
            inputs: (n, c, h, w). targets: labels (n,) or shares of the classes (n, k).
        """
        with runtime.autocast():
            outputs = network.logits(inputs)
        loss = loss_of(outputs.float(), inputs, targets, self.recipe, self.class_weights)
        if self.teacher is None:
            return loss
        with torch.no_grad(), runtime.autocast():
            answers = self.teacher.logits(inputs)
        terms = self.recipe.distillation
        return (1 - terms.share) * loss + terms.share * distance(outputs.float(), answers.float(), terms)


def loss_of(
    outputs: Tensor, inputs: Tensor, targets: Tensor, recipe: Recipe, class_weights: Tensor | None = None
) -> Tensor:
    """Mean loss of outputs (n, k): cross-entropy, or the squared error of a reconstruction over the inputs' variance.

    So the loss of a network that gives the mean of its inputs is 1, near what classifiers begin with, on any scale.
    """
    if recipe.objective is Objective.RECONSTRUCT:
        return F.mse_loss(outputs, inputs.flatten(1)) / inputs.var()
    return F.cross_entropy(outputs, targets, weight=class_weights, label_smoothing=recipe.label_smoothing)


def distance(outputs: Tensor, answers: Tensor, terms: Distillation) -> Tensor:
    """Kullback-Leibler divergence of softened outputs (n, k) from a teacher's, on the scale of the loss."""
    student, teacher = (F.log_softmax(each / terms.temperature, dim=1) for each in (outputs, answers))
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * terms.temperature**2


def class_weights(labels: Tensor, classes: int, balance: float) -> Tensor:
    """(classes,) weights, ``count ** -balance``, of which the mean over the samples is 1; 0 for a class of none."""
    counts = torch.bincount(labels, minlength=classes).float()
    weights = torch.where(counts > 0, counts.clamp(min=1) ** -balance, 0.0)
    return weights * len(labels) / (weights * counts).sum()


def mix(
    inputs: Tensor, labels: Tensor, classes: int, alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Each sample with some of another one (mixup): inputs (n, c, h, w), and shares of the classes (n, k)."""
    shape = torch.full((2, len(labels)), alpha, device=generator.device)
    first, second = torch._standard_gamma(shape, generator)  # their ratio is Beta-distributed
    kept = first / (first + second).clamp(min=torch.finfo(torch.float32).tiny)
    other = torch.randperm(len(labels), generator=generator, device=generator.device)
    targets = F.one_hot(labels, classes).float()
    weight = kept[:, None, None, None]
    mixed = weight * inputs + (1 - weight) * inputs[other]
    return mixed, kept[:, None] * targets + (1 - kept[:, None]) * targets[other]
