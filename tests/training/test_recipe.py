"""Recipes: the shipped files, the user's own, and what they mean for the optimiser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from toy import RECIPE

from nas.errors import InputError, SpecError
from nas.models.network import build_network
from nas.space import Architecture, Block
from nas.space.lookup import list_files
from nas.tasks import get_task, task_names
from nas.tasks.augmentation import Augmentation
from nas.tasks.metric import Objective
from nas.training.optimizer import make_optimizer, parameter_groups, set_learning_rate
from nas.training.recipe import FOLDER, Distillation, Recipe, load_recipe

KWS = get_task("kws")


@pytest.mark.parametrize("name", sorted(set(task_names()) - {"audio", "image"}))  # their classes are those of the data
def test_every_task_has_a_recipe(name: str) -> None:
    task = get_task(name)
    recipe = load_recipe(task)
    assert recipe.objective is task.objective
    batch = torch.rand(4, task.input_shape[2], *task.input_shape[:2])
    assert recipe.augment(batch, torch.Generator().manual_seed(0)).shape == batch.shape


@pytest.mark.parametrize("name", list_files(FOLDER))
def test_every_shipped_recipe_can_be_asked_for(name: str) -> None:
    assert load_recipe(KWS, name).name == name


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(f'schema = 1\nname = "mine"\nepochs = 3\nbatch_size = 50\nlearning_rate = 0.01\n{text}')
    return path


def test_what_a_file_leaves_out_does_not_happen(tmp_path: Path) -> None:
    recipe = load_recipe(get_task("ad"), str(write(tmp_path, "")))
    assert (recipe.epochs, recipe.label_smoothing, recipe.mixup, recipe.average) == (3, 0, 0, 0)
    assert (recipe.warmup, recipe.weight_decay, recipe.depthwise_decay, recipe.class_balance) == (0, 0, None, 0)
    assert (recipe.augment, recipe.objective) == (Augmentation(), Objective.RECONSTRUCT)


def test_a_teacher_has_half_of_the_loss_at_twice_the_temperature(tmp_path: Path) -> None:
    """The values that were measured, unless a file says otherwise."""
    assert load_recipe(KWS, str(write(tmp_path, ""))).distillation == Distillation(share=0.5, temperature=2.0)


def test_small_values_are_taken(tmp_path: Path) -> None:
    text = "weight_decay = 0.01\ndepthwise_decay = 0.002\nmixup = 0.2\nwarmup = 0.1\nclass_balance = 0.5"
    recipe = load_recipe(KWS, str(write(tmp_path, text)))
    assert (recipe.weight_decay, recipe.depthwise_decay, recipe.mixup) == (0.01, 0.002, 0.2)
    assert (recipe.warmup, recipe.class_balance) == (0.1, 0.5)


@pytest.mark.parametrize("name", list_files(FOLDER))
def test_a_recipe_comes_back_from_json(name: str) -> None:
    recipe = load_recipe(KWS, name)
    text = json.dumps(recipe.to_json())
    assert json.loads(text)["schema"] == 1
    assert Recipe.model_validate_json(text) == recipe


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("mixup = -1.0", "mixup"),
        ("label_smoothing = 1.5", "label_smoothing"),
        ('optimizer = "adam"', "optimizer"),
        ("momentum = 0.9", "momentum"),
        ("[augment]\nmask = { frames = 2.0, coefficients = 0.1 }", "frames"),
        ("epochs = 0", "epochs"),
    ],
)
def test_a_wrong_file_is_told_by_its_key(tmp_path: Path, text: str, named: str) -> None:
    path = write(tmp_path, text)
    if named == "epochs":
        path.write_text(path.read_text().replace("epochs = 3\n", ""))
    with pytest.raises(SpecError, match=named):
        load_recipe(KWS, str(path))


def test_a_recipe_has_the_name_of_its_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="must be the file's stem 'other', found 'mine'"):
        load_recipe(KWS, str(write(tmp_path, "", "other")))


def test_an_unknown_recipe_is_told_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"no recipe named 'kwz'; there are .*kws.*did you mean 'kws'"):
        load_recipe(KWS, "kwz")


def test_decay_goes_by_the_kind_of_a_kernel() -> None:
    blocks = Block("a", "conv", 4, (3, 3), (1, 1)), Block("b", "ds", 6, (3, 3), (1, 1))
    network = build_network(Architecture("t", "t", (6, 6, 2), 3, blocks, "pool_dense").graph, seed=0)
    groups = parameter_groups(network, RECIPE.with_(weight_decay=0.3, depthwise_decay=0.1))
    shapes = {group["weight_decay"]: sorted(tuple(p.shape) for p in group["params"]) for group in groups}
    assert shapes[0.3] == [(3, 6), (4, 2, 3, 3), (6, 4, 1, 1)]
    assert shapes[0.1] == [(4, 1, 3, 3)]
    assert all(len(shape) == 1 for shape in shapes[0.0])
    alike = parameter_groups(network, RECIPE.with_(weight_decay=0.3))
    assert {group["weight_decay"]: len(group["params"]) for group in alike}[0.3] == 4


@pytest.mark.parametrize(("schedule", "end"), [("cosine", 0.0), ("constant", 1.0)])
def test_the_learning_rate_follows_the_schedule(schedule: str, end: float) -> None:
    network = torch.nn.Linear(2, 2)
    recipe = RECIPE.with_(schedule=schedule, optimizer="sgd", warmup=0.5)
    optimizer = make_optimizer(network, recipe)
    assert isinstance(optimizer, torch.optim.SGD)
    rates = []
    for progress in (0.0, 0.25, 0.5, 1.0):
        set_learning_rate(optimizer, recipe, progress)
        rates.append(optimizer.param_groups[0]["lr"] / recipe.learning_rate)
    assert rates == pytest.approx([0.0, 0.5, 1.0, end])


def test_sgd_has_the_momentum_of_nesterov() -> None:
    """Two steps under a gradient of 1: v1 = 1, v2 = 0.9 + 1; each step goes by 1 + 0.9 v (Sutskever et al., 2013)."""
    network = torch.nn.Linear(1, 1, bias=False)
    optimizer = make_optimizer(network, RECIPE.with_(optimizer="sgd", learning_rate=0.1, weight_decay=0.0))
    weights = [float(network.weight.detach())]
    for _ in range(2):
        network.weight.grad = torch.ones(1, 1)
        optimizer.step()
        weights.append(float(network.weight.detach()))
    assert weights[0] - weights[1] == pytest.approx(0.1 * (1 + 0.9))
    assert weights[1] - weights[2] == pytest.approx(0.1 * (1 + 0.9 * 1.9))
