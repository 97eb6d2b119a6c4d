"""What both runtimes must do alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import flatbuffers
import numpy as np
import pytest

from nas.errors import InputError, ValidationError
from nas.export.flatbuffer import load
from nas.export.model_reader import read_model
from nas.harness.litert import LiteRtModel
from nas.harness.tflm import TflmModel
from nas.pipeline.plan import with_plan
from nas.plan.placement import DEFAULT_PLANNING

pytestmark = pytest.mark.slow  # a network is converted

LOADERS = [TflmModel, LiteRtModel, partial(LiteRtModel, kernels="reference")]
Loader = Callable[[bytes], TflmModel | LiteRtModel]
every_runtime = pytest.mark.parametrize("loader", LOADERS, ids=["tflm", "xnnpack", "reference"])


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, (20, 8, 8, 2), dtype=np.int8)


@every_runtime
def test_a_batch_equals_its_samples(loader: Loader, model: bytes, inputs: np.ndarray) -> None:
    loaded = loader(model)
    outputs = loaded.run(inputs)
    assert (outputs.shape, outputs.dtype, loaded.input_shape) == ((20, 3), np.int8, (1, 8, 8, 2))
    assert np.array_equal(outputs, np.concatenate([loaded.run(inputs[i : i + 1]) for i in range(20)]))
    assert len(np.unique(outputs, axis=0)) > 1


@every_runtime
def test_flat_samples_are_taken(loader: Loader, model: bytes, inputs: np.ndarray) -> None:
    assert np.array_equal(loader(model).run(inputs.reshape(20, -1)), loader(model).run(inputs))


@every_runtime
@pytest.mark.parametrize(
    "bad", [np.zeros((1, 8, 8, 2), np.float32), np.zeros((1, 100), np.int8), np.zeros((0, 8, 8, 2), np.int8)]
)
def test_other_samples_are_refused(loader: Loader, model: bytes, bad: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"takes int8 \(n, 128\) or \(n, 8, 8, 2\)"):
        loader(model).run(bad)


@every_runtime
def test_an_operator_without_kernel_is_told(loader: Loader, model: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    tree = load(model)
    tree.operatorCodes[0].builtinCode = tree.operatorCodes[0].deprecatedBuiltinCode = 32  # CUSTOM
    tree.operatorCodes[0].customCode = b"nowhere"
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    with pytest.raises(ValidationError, match=r"refuses the model: .*(nowhere|CUSTOM)"):
        loader(bytes(builder.Output()))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("loader", [TflmModel, partial(LiteRtModel, kernels="reference")], ids=["tflm", "reference"])
def test_a_trace_holds_every_tensor(loader: Loader, model: bytes, inputs: np.ndarray) -> None:
    """Also of a model with a memory plan, in which activations lie over each other."""
    graph = load(model).subgraphs[0]
    places = [int(graph.inputs[0]), *(int(operator.outputs[0]) for operator in graph.operators)]
    planned = with_plan(model, DEFAULT_PLANNING)[0]
    assert read_model(planned).offline_offsets is not None
    traced = loader(planned, every_tensor=True).trace(inputs, places)
    assert [values.shape for values in traced] == [(20, 128), (20, 256), (20, 4), (20, 3)]
    assert np.array_equal(traced[0], inputs.reshape(20, -1))
    assert np.array_equal(traced[-1], loader(model).run(inputs))
    pooled = traced[1].reshape(20, 64, 4).mean(axis=1)  # on the same grid, and rounded
    assert np.abs(traced[2] - pooled).max() <= 0.5


def test_tflm_agrees_with_the_reference_kernels(model: bytes, inputs: np.ndarray) -> None:
    reference = LiteRtModel(model, "reference").run(inputs).astype(int)
    assert np.abs(TflmModel(model).run(inputs) - reference).max() <= 1
