"""The trained networks that come with the project are what their records say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from nas.cost.model import cost
from nas.export.int8_file import read_int8
from nas.harness.tflm import TflmModel, measure_arena
from nas.models.int8 import run_int8
from nas.pipeline.quantize import FILE, load
from nas.plan.placement import Planning
from nas.space.lookup import find_architecture

RUNS = sorted(path.parent for path in Path(__file__).resolve().parents[1].glob("exported/reference/*/run.json"))
LARGEST_BYTES = 1_000_000  # of a file in the repository


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_file_is_what_its_record_says(run: Path) -> None:
    graph, model = find_architecture(str(run)).graph, (run / "winner" / "model.tflite").read_bytes()
    record = json.loads((run / "winner" / "validation.json").read_text())
    predicted, arena = cost(graph, Planning()), measure_arena(model)
    assert record["measured"]["flash_bytes"] == len(model) == predicted.flash_bytes
    assert record["measured"]["sram_bytes"] == arena.total_bytes == predicted.sram_bytes
    assert record["predicted"]["ops"] == predicted.ops
    assert not record["data"]["synthetic"]
    assert max(path.stat().st_size for path in run.rglob("*")) < LARGEST_BYTES


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_its_integers_are_those_that_are_kept_and_that_tflm_computes_with(run: Path) -> None:
    graph, model = find_architecture(str(run)).graph, (run / "winner" / "model.tflite").read_bytes()
    flashed, kept = read_int8(model, graph), load(run / "winner" / FILE, graph).to_int8()
    assert flashed.grids == kept.grids
    for name, weights in kept.weights.items():
        assert_array_equal(flashed.weights[name].values, weights.values)
        assert_array_equal(flashed.weights[name].biases, weights.biases)
    inputs = np.random.default_rng(0).integers(-128, 128, (8, *graph.shapes[0])).astype(np.int8)
    assert_array_equal(run_int8(flashed, inputs)[-1], TflmModel(model).run(inputs))


def test_there_are_some() -> None:
    assert RUNS
