"""Files that other tools write: small models put together by hand, each with one thing that ours do not have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from made_networks import random_network

from nas.errors import InputError
from nas.export.flatbuffer import load
from nas.export.slim import SHARED_BYTES, slim
from nas.harness.identity import prove_identical, random_inputs, run_litert, run_tflm

FLOAT32, INT32, UINT8, BOOL, INT8 = 0, 2, 3, 6, 9  # schema.fbs: TensorType
ADD, FULLY_CONNECTED, MUL, SVDF, CUSTOM, QUANTIZE, IF = 0, 9, 18, 27, 32, 114, 118  # schema.fbs: BuiltinOperator
RNG = np.random.default_rng(1)
Case = Callable[[], bytes]


def spectrogram_options() -> bytes:
    from flatbuffers import flexbuffers

    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Int("window_size", 128)
        builder.Int("stride", 64)
        builder.Bool("magnitude_squared", True)
    return bytes(builder.Finish())


def tensor(shape: Sequence[int], kind: int = FLOAT32, buffer: int = 0, **fields: Any) -> Any:
    return schema.TensorT(shape=list(shape), type=kind, buffer=buffer, name=b"some/long/name", **fields)


def scaled(scale: float, zero_point: int) -> Any:
    return schema.QuantizationParametersT(scale=[scale], zeroPoint=[zero_point], min=[-1.0], max=[1.0])


def operator(inputs: Sequence[int], outputs: Sequence[int], code: int = 0, **fields: Any) -> Any:
    return schema.OperatorT(opcodeIndex=code, inputs=list(inputs), outputs=list(outputs), **fields)


def graph(tensors: list[Any], inputs: Sequence[int], outputs: Sequence[int], *operators: Any) -> Any:
    return schema.SubGraphT(
        tensors=tensors, inputs=list(inputs), outputs=list(outputs), operators=list(operators), name=b"main"
    )


def pack(graphs: list[Any], codes: list[tuple[int, bytes | None]], *data: np.ndarray, **fields: Any) -> bytes:
    """A file; ``data`` are the buffers from number 1 on."""
    tree = schema.ModelT(
        version=3,
        description=b"made by hand",
        operatorCodes=[
            schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, customCode=custom, version=1)
            for code, custom in codes
        ],
        subgraphs=graphs,
        buffers=[
            schema.BufferT(),
            *(schema.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)) for values in data),
        ],
        **fields,
    )
    return repack(tree)


def repack(tree: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def dense(inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    options = schema.FullyConnectedOptionsT()
    return operator(inputs, outputs, builtinOptionsType=8, builtinOptions=options)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def float_dense() -> bytes:
    """No quantisation at all."""
    tensors = [tensor([1, 5]), tensor([3, 5], buffer=1), tensor([3], buffer=2), tensor([1, 3])]
    return pack([graph(tensors, [0], [3], dense([0, 1, 2], [3]))], [(FULLY_CONNECTED, None)], floats(3, 5), floats(3))


def without_bias() -> bytes:
    """An optional input that is left out."""
    tensors = [tensor([1, 5]), tensor([3, 5], buffer=1), tensor([1, 3])]
    return pack([graph(tensors, [0], [2], dense([0, 1, -1], [2]))], [(FULLY_CONNECTED, None)], floats(3, 5))


def stateful() -> bytes:
    """A variable, which carries what was seen from one inference to the next."""
    tensors = [
        tensor([1, 4]),
        tensor([6, 4], buffer=1),
        tensor([6, 3], buffer=2),
        tensor([1, 18], isVariable=True),
        tensor([1, 6]),
    ]
    options = schema.SVDFOptionsT(rank=1)
    step = operator([0, 1, 2, -1, 3], [4], builtinOptionsType=6, builtinOptions=options)
    return pack([graph(tensors, [0], [4], step)], [(SVDF, None)], floats(6, 4), floats(6, 3))


def uint8_input() -> bytes:
    """An unsigned input; the operator has no options."""
    tensors = [
        tensor([1, 7], UINT8, quantization=scaled(0.5, 128)),
        tensor([1, 7], INT8, quantization=scaled(0.5, 0)),
        tensor([1, 7], INT8, quantization=scaled(0.25, -3)),
    ]
    steps = operator([0], [1]), operator([1], [2])
    return pack([graph(tensors, [0], [2], *steps)], [(QUANTIZE, None)])


def custom() -> bytes:
    """A custom operator with its own options, which LiteRT has and TFLM has not."""
    tensors = [tensor([400, 1]), tensor([1, 5, 65])]
    options = np.frombuffer(spectrogram_options(), np.uint8)
    return pack([graph(tensors, [0], [1], operator([0], [1], customOptions=options))], [(CUSTOM, b"AudioSpectrogram")])


def branches() -> bytes:
    """Two more subgraphs, whose constants share a buffer with the first's."""

    def branch(code: int, option: int, options: Any) -> Any:
        tensors = [tensor([4]), tensor([4], buffer=1), tensor([4])]
        step = operator([0, 1], [2], code, builtinOptionsType=option, builtinOptions=options)
        return graph(tensors, [0], [2], step)

    main = graph(
        [tensor([], BOOL), tensor([4]), tensor([4])],
        [0, 1],
        [2],
        operator(
            [0, 1],
            [2],
            builtinOptionsType=92,
            builtinOptions=schema.IfOptionsT(thenSubgraphIndex=1, elseSubgraphIndex=2),
        ),
    )
    graphs = [main, branch(1, 11, schema.AddOptionsT()), branch(2, 21, schema.MulOptionsT())]
    return pack(graphs, [(IF, None), (ADD, None), (MUL, None)], floats(4))


def ranges_without_scales() -> bytes:
    """What a float file carries after a calibration."""
    calibrated = schema.QuantizationParametersT(min=[-1.0], max=[1.0])
    tensors = [tensor([1, 5], quantization=calibrated), tensor([3, 5], buffer=1), tensor([1, 3])]
    return pack([graph(tensors, [0], [2], dense([0, 1, -1], [2]))], [(FULLY_CONNECTED, None)], floats(3, 5))


CASES = [float_dense, without_bias, stateful, uint8_input, custom, branches, ranges_without_scales]


@pytest.mark.parametrize("case", CASES)
def test_every_runtime_computes_the_same_bits(case: Case) -> None:
    model = case()
    small = slim(model)
    assert len(small) < len(model)
    assert slim(small) == small
    inputs = random_inputs(model)
    outputs = run_litert(model, inputs)
    assert run_litert(small, inputs) == outputs
    assert len(set(outputs)) > 1, "the outputs depend on the inputs"
    if case not in (custom, stateful):  # TFLM has not this operator, and dies of a float SVDF
        assert run_tflm(small, inputs) == run_tflm(model, inputs)


@pytest.mark.parametrize("name", ["lstm", "svdf", "arithmetic", "shapes", "offline_plan"])
def test_tflm_computes_the_same_bits_on_rare_operators(checkout: Path, name: str) -> None:
    """Variables, intermediate tensors, a memory plan; names are added, as these files hold nothing to leave out."""
    model = (checkout / "tests" / "data" / "models" / f"{name}.tflite").read_bytes()
    tree = load(model)
    for number, one in enumerate(tree.subgraphs[0].tensors):
        one.name = b"a/name/as/long/as/those/of/converters/%d" % number
    named = repack(tree)
    small = slim(named)
    assert len(small) < len(named)
    inputs = random_inputs(model)
    outputs = run_tflm(model, inputs)
    assert run_tflm(small, inputs) == outputs
    assert len(set(outputs)) > 1


def test_a_file_that_is_small_already_is_left_alone(checkout: Path) -> None:
    model = (checkout / "tests" / "data" / "models" / "lstm.tflite").read_bytes()
    assert slim(model) == model


def test_a_runtime_that_cannot_run_the_file_is_told() -> None:
    model = custom()
    proof = prove_identical(model, slim(model))
    assert proof.identical == ("LiteRT", "LiteRT with reference kernels")
    assert list(proof.refused) == ["TensorFlow Lite Micro"]
    assert "CUSTOM" in proof.refused["TensorFlow Lite Micro"]


def test_options_of_a_custom_operator_survive() -> None:
    tree = load(slim(custom()))
    assert tree.operatorCodes[0].customCode == b"AudioSpectrogram"
    assert bytes(tree.subgraphs[0].operators[0].customOptions) == spectrogram_options()


def test_a_range_without_a_scale_is_dropped() -> None:
    assert load(slim(ranges_without_scales())).subgraphs[0].tensors[0].quantization is None


def test_a_scale_of_zero_survives() -> None:
    tree = load(uint8_input())
    tree.subgraphs[0].tensors[2].quantization.scale = [0.0]
    assert list(load(slim(repack(tree))).subgraphs[0].tensors[2].quantization.scale) == [0.0]


@pytest.mark.parametrize(("kind", "shared"), [(FLOAT32, True), (INT8, False)])
def test_which_small_constants_stay_shared(kind: int, shared: bool) -> None:
    """Equal int8 constants are an accident of training, on which the size of our own files must not depend."""
    weights = [tensor([3, 5], kind, 1, quantization=scaled(0.5, 0) if kind == INT8 else None) for _ in range(2)]
    tensors = [tensor([1, 5]), *weights, tensor([1, 3]), tensor([1, 3])]
    model = pack(
        [graph(tensors, [0], [3, 4], dense([0, 1, -1], [3]), dense([0, 2, -1], [4]))],
        [(FULLY_CONNECTED, None)],
        floats(15) if kind == FLOAT32 else np.arange(15, dtype=np.int8),
    )
    first, second = load(slim(model)).subgraphs[0].tensors[1:3]
    assert (first.buffer == second.buffer) is shared


def test_large_constants_stay_shared() -> None:
    weights = [tensor([SHARED_BYTES], INT8, 1, quantization=scaled(0.5, 0)) for _ in range(3)]
    model = pack([graph(weights, [], [])], [], np.ones(SHARED_BYTES, np.int8))
    assert len(slim(model)) < SHARED_BYTES + 1024


def test_an_open_size_stays_open_and_an_open_batch_does_not() -> None:
    tensors = [
        tensor([1, 5], shapeSignature=[-1, 5]),
        tensor([1, 5], shapeSignature=[1, -1]),
        tensor([1, 5], shapeSignature=[1, -1]),
    ]
    add = operator([1, 1], [2], builtinOptionsType=11, builtinOptions=schema.AddOptionsT())
    small = slim(pack([graph(tensors, [1], [2], add)], [(ADD, None)]))
    signatures = [one.shapeSignature for one in load(small).subgraphs[0].tensors]
    assert [None if one is None else one.tolist() for one in signatures] == [None, [1, -1], [1, -1]]
    interpreter = Interpreter(model_content=small)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], [1, 9], strict=True)
    interpreter.allocate_tensors()
    assert interpreter.get_output_details()[0]["shape"].tolist() == [1, 9]


def test_metadata_that_runtimes_obey_is_kept() -> None:
    notes = [schema.MetadataT(name=name, buffer=1) for name in (b"reduced_precision_support", b"min_runtime_version")]
    tree = load(slim(pack([graph([tensor([1])], [0], [0])], [], np.frombuffer(b"fp16", np.uint8), metadata=notes)))
    assert [item.name for item in tree.metadata] == [b"reduced_precision_support"]
    assert bytes(tree.buffers[tree.metadata[0].buffer].data) == b"fp16"


def second_signature(tree: Any) -> None:
    tree.signatureDefs = [schema.SignatureDefT(subgraphIndex=1, signatureKey=b"b")]


def outside(tree: Any) -> None:
    tree.buffers[1].offset, tree.buffers[1].size = 4096, 60


def compressed(tree: Any) -> None:
    tree.metadata = [schema.MetadataT(name=b"COMPRESSION_METADATA", buffer=1)]


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (second_signature, "signatures of several subgraphs"),
        (outside, "data outside the flatbuffer"),
        (compressed, "compressed weights"),
    ],
)
def test_what_would_be_lost_is_refused(spoil: Callable[[Any], None], named: str) -> None:
    tree = load(float_dense())
    spoil(tree)
    with pytest.raises(InputError, match=f"cannot slim a model with {named}"):
        slim(repack(tree))


def test_a_damaged_second_subgraph_is_refused() -> None:
    broken = graph([tensor([4], buffer=77)], [], [])
    with pytest.raises(InputError, match="damaged TFLite model"):
        slim(pack([graph([tensor([4])], [0], [0]), broken], []))


@pytest.mark.parametrize("seed", range(6))
def test_zero_points_lie_where_readers_take_words_of_eight_bytes(seed: int) -> None:
    """A flatbuffer aligns each vector to its elements; C++ reads them in place."""
    root = schema.Model.GetRootAs(slim(random_network(seed)), 0)
    graph = root.Subgraphs(0)
    found = [graph.Tensors(index).Quantization() for index in range(graph.TensorsLength())]
    field = 10  # of zero_point in the table QuantizationParameters: its fourth field
    places = [
        each._tab.Vector(each._tab.Offset(field)) for each in found if each is not None and each.ZeroPointLength()
    ]
    assert len(places) > 5
    assert all(place % 8 == 0 for place in places)
