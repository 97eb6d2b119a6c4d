"""Modelled instructions are those that an emulated core counts."""

from __future__ import annotations

import random
import shutil

import numpy as np
import pytest

from nas.cost.instructions import instructions, load_core
from nas.export.c.program import program_of
from nas.export.c.synthetic import synthetic_source
from nas.harness import firmware
from nas.harness.cores import CORES, find_core
from nas.harness.emulator import EmulatedCore
from nas.harness.firmware import build_image
from nas.space.graph import OpKind
from nas.space.lookup import find_architecture, list_files, load_space

MODELLED = list(list_files("constraints/cores"))
MEAN_ERROR, WORST_ERROR = 0.05, 0.15
SPACES = ("kws_ds_cnn", "kws_residual", "vww_micronet_50", "ad_autoencoder")
NETWORKS = 2  # of each space


@pytest.mark.parametrize("name", MODELLED)
def test_every_operator_has_its_loops(name: str) -> None:
    assert name in CORES
    assert set(load_core(name).instructions) == {kind.value for kind in OpKind}


@pytest.mark.parametrize("name", MODELLED)
def test_nothing_is_said_of_loops_that_were_never_counted(name: str) -> None:
    core, graph = load_core(name), find_architecture("kws_ds_cnn:mlperf-ds-cnn").graph
    assert instructions(graph, core) is not None
    depthwise = core.instructions["DEPTHWISE_CONV_2D"]
    less = {key: value for key, value in depthwise.items() if key != "blocks"}
    unknown = core.model_copy(update={"instructions": {**core.instructions, "DEPTHWISE_CONV_2D": less}})
    assert instructions(graph, unknown) is None


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("name", MODELLED)
def test_against_an_emulated_core(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that nothing was fitted to; they were drawn with other seeds."""
    pytest.importorskip("unicorn", reason=f"needs the emulator: {firmware.INSTALL}")
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("needs the compiler that the model is for: apt install gcc-arm-none-eabi")
    monkeypatch.setenv(firmware.COMPILER, "gcc")
    core, errors = load_core(name), []
    for space in SPACES:
        rng = random.Random(f"test {space}")
        for _ in range(NETWORKS):
            graph = load_space(space).sample(rng).graph
            program = program_of(synthetic_source(graph, 1), "net")
            emulated = EmulatedCore(program, build_image(program, find_core(name)))
            sample = np.random.default_rng(1).integers(-128, 128, (1, *emulated.input_shape[1:]), dtype=np.int8)
            modelled = instructions(graph, core)
            assert modelled is not None
            errors.append(abs(modelled / emulated.count(sample).instructions - 1))
    assert np.mean(errors) < MEAN_ERROR
    assert max(errors) < WORST_ERROR
