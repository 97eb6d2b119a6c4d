from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_cifar10 import write_cifar10

from nas.errors import DataError
from nas.space import load_space
from nas.tasks import get_task, task_names
from nas.tasks.base import outputs_of

IC = get_task("ic")


def test_contract_of_the_benchmark() -> None:
    assert (IC.name, IC.metric, IC.input_shape, len(IC.classes)) == ("ic", "accuracy", (32, 32, 3), 10)
    assert IC.input_quantization is not None
    assert (IC.input_quantization.scale, IC.input_quantization.zero_point) == (1.0, -128)
    assert IC.wire_type == "uint8"


@pytest.mark.parametrize("name", sorted(set(task_names()) - {"audio", "image"}))  # their classes are those of the data
def test_the_default_space_of_a_task_is_made_for_it(name: str) -> None:
    task = get_task(name)
    space = load_space(task.default_space)
    assert space.task in task.spaces
    assert (space.spec.input, space.spec.classes) == (task.input_shape, outputs_of(task))


def test_every_pixel_has_its_own_input() -> None:
    assert IC.input_quantization is not None
    pixels = np.arange(256, dtype=np.uint8)
    inputs = IC.input_quantization.quantize(pixels)
    assert inputs.tolist() == list(range(-128, 128))
    np.testing.assert_array_equal(IC.input_quantization.dequantize(inputs), pixels)


def test_a_folder_is_read_and_builtin_data_drawn(tmp_path: Path) -> None:
    folder = write_cifar10(tmp_path, per_class=2)
    assert IC.load(folder).name == "cifar10"
    assert IC.load("builtin").synthetic
    for source in (folder, "builtin"):
        assert IC.training_samples(source) == len(IC.load(source).train)
    with pytest.raises(DataError, match="nowhere does not exist: give the unpacked data set's folder"):
        IC.load(tmp_path / "nowhere")
