from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_images import write_images

from nas.errors import DataError, InputError, SpecError
from nas.pipeline.request import SearchOptions, plan_search
from nas.pipeline.train import _fitted as fit_to_task
from nas.space import load_space
from nas.tasks import TaskSettings, get_task


@pytest.fixture
def fruits(tmp_path: Path) -> Path:
    return write_images(tmp_path / "fruits", ("pear", "apple", "plum"), 12)


def test_classes_are_the_names_of_the_folders(fruits: Path, tmp_path: Path) -> None:
    task = get_task("image", fruits)
    assert (task.classes, task.custom, task.input_shape) == (("apple", "pear", "plum"), True, (96, 96, 3))
    data = task.fitted((8, 9, 1)).load(fruits, cache_dir=tmp_path / "cache")
    assert (data.name, data.synthetic, data.classes) == ("fruits", False, task.classes)
    assert data.train.features.shape == (1, 30, 8, 9, 1)
    assert task.training_samples(fruits) == 30


def test_there_are_no_builtin_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path))
    for source in ("builtin", None):
        with pytest.raises(DataError, match=r"no builtin ones: give --data DIR .*image is taken where it is there"):
            get_task("image", source)
    write_images(tmp_path / "image", ("pear", "apple"), 3)
    assert get_task("image").classes == ("apple", "pear")


@pytest.mark.parametrize(
    ("space", "asked", "shape"),
    [
        (None, None, (96, 96, 3)),
        (None, "64x48x1", (64, 48, 1)),
        ("ic_resnet", None, (32, 32, 3)),
        ("vww_micronet_50", None, (50, 50, 1)),
        ("vww_mobilenet", "40x40x3", (40, 40, 3)),
    ],
)
def test_a_space_is_fitted_to_the_images(
    fruits: Path, space: str | None, asked: str | None, shape: tuple[int, int, int]
) -> None:
    options = SearchOptions("image", space, flash="256KB", data=str(fruits), settings=TaskSettings(asked))
    plan = plan_search(options)
    assert plan.task.input_shape == plan.space.spec.input == shape
    assert (plan.space.spec.task, plan.space.spec.classes) == ("image", 3)
    assert plan.space.largest().graph.shapes[-1] == (3,)
    read_back = plan_search(SearchOptions.from_json(options.to_json(), fruits))
    assert (read_back.task, read_back.space) == (plan.task, plan.space)
    with pytest.raises(InputError, match="kws_micronet is for the task kws, not for image"):
        plan_search(replace(options, space="kws_micronet"))


def test_a_published_network_is_fitted_to_the_images(fruits: Path) -> None:
    network, data = load_space("vww_mobilenet").points["mlperf-mobilenet"], str(fruits)
    task, fitted = fit_to_task(network, "image", data, TaskSettings("48x64x1"))
    assert fitted == replace(network, task="image", input_shape=(48, 64, 1), classes=3)
    assert (task.input_shape, task.classes) == ((48, 64, 1), ("apple", "pear", "plum"))
    assert fit_to_task(network, "image", data, TaskSettings())[1].input_shape == (96, 96, 3)
    with pytest.raises(InputError, match="--task vww fits a new network to the data"):
        fit_to_task(network, None, None, TaskSettings("48x64x1"))


@pytest.mark.parametrize("shape", ["64", "64x64", "64x64x2", "4x64x1", "0x0x3", "64x9999x3", "64 x 64 x 3"])
def test_shapes_that_are_none(fruits: Path, shape: str) -> None:
    with pytest.raises(InputError, match="give height x width x channels with sides from 8 to 1024") as raised:
        plan_search(SearchOptions("image", flash="256KB", data=str(fruits), settings=TaskSettings(shape)))
    assert not isinstance(raised.value, SpecError)
