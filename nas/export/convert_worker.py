"""The process behind ``nas.export.tflite.convert_int8``: ``python -m nas.export.convert_worker FOLDER``.

Reads ``request.json`` and ``calibration.npy`` in FOLDER, writes ``model.tflite`` there. The only module that
imports TensorFlow and onnx2tf. Four steps:

1. onnx2tf builds a Keras model; nothing is saved, its SavedModel and float files would take 3 s, the model
takes 0.2 s;
2. the TFLite converter calibrates it: a float flatbuffer with the range of every activation;
3. the range of the input is set as prescribed, and the MLIR quantiser makes the whole int8;
4. operators run in the order of the graph, in which they take least memory; the converter has its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nas.export.flatbuffer import FILE_IDENTIFIER, load, operator_name

QMIN, QMAX = -128, 127


def main(folder: Path) -> None:
    """Convert what ``folder`` holds."""
    import_libraries()
    request = json.loads((folder / "request.json").read_text())
    calibration = np.load(folder / "calibration.npy")
    calibrated = _calibrate(_keras_model(Path(request["onnx"]), folder), calibration)
    if request["input_quantization"] is not None:
        calibrated = _with_input_range(calibrated, *request["input_quantization"])
    (folder / "model.tflite").write_bytes(_in_order(_quantise(calibrated)))


def import_libraries() -> None:
    """Import TensorFlow and onnx2tf, which takes most of the time of a small conversion."""
    sys.modules["matplotlib"] = None  # type: ignore[assignment]  # Keras goes without it, and starts 0.6 s earlier
    import onnx  # noqa: F401
    import tensorflow  # noqa: F401
    from onnx2tf import onnx2tf  # noqa: F401


def _keras_model(onnx_path: Path, folder: Path) -> Any:
    """Translate NCHW ONNX to an NHWC Keras model."""
    import onnx
    from onnx2tf import onnx2tf

    # onnx2tf fetches sample images from GitHub for any 3-channel input, used or not.
    onnx2tf.download_test_image_data = lambda: np.zeros((20, 128, 128, 3), np.float32)
    _translate_plainly()
    return onnx2tf.convert(
        onnx_graph=onnx.load(onnx_path),
        output_folder_path=str(folder / "saved_model"),
        not_use_onnxsim=True,  # the graph is simple already, and onnxsim would be yet another process
        disable_model_save=True,
        non_verbose=True,
        verbosity="error",
    )


def _translate_plainly() -> None:
    """Translate Add and Pad of feature maps as they stand.

    onnx2tf guesses from shapes whether a map is NCHW or NHWC and transposes it; where channels and sizes coincide it
    guesses wrong and leaves TRANSPOSE operators. Every map of our graphs is NHWC by then.
    """
    import tensorflow as tf
    from onnx2tf.ops import Add, Pad

    def add(x: Any, y: Any) -> Any:
        return tf.math.add(x, y)

    def pad(x: Any, pads: Any, *_value: Any) -> Any:
        before, after = np.asarray(pads.values).reshape(2, 4)[:, [0, 2, 3, 1]]  # NCHW -> NHWC
        return tf.pad(x, np.stack([before, after], axis=1).astype(np.int32))

    Add.make_node, Pad.make_node = _node_maker(add), _node_maker(pad)


def _node_maker(function: Any) -> Any:
    """What onnx2tf calls for a node: computes it and files the result under the name of the output."""

    def make_node(*, graph_node: Any, tf_layers_dict: Any, **_options: Any) -> None:
        inputs = [tf_layers_dict[v.name]["tf_node"] if v.name in tf_layers_dict else v for v in graph_node.inputs]
        output = graph_node.outputs[0]
        tf_layers_dict[output.name] = {
            "optype": graph_node.op,
            "shape": output.shape,
            "dtype": output.dtype,
            "nhwc": True,
            "tf_node": function(*inputs),
            "tf_node_info": {"tf_op_type": graph_node.op, "tf_inputs": {}, "tf_outputs": {}},
        }

    return make_node


def _calibrate(keras_model: Any, calibration: np.ndarray[Any, Any]) -> bytes:
    """Return a float flatbuffer whose activations carry min and max over the calibration samples."""
    import tensorflow as tf

    def samples() -> Iterator[list[np.ndarray[Any, Any]]]:
        for sample in calibration:
            yield [sample[np.newaxis]]

    converter = tf.lite.TFLiteConverter.from_keras_model(keras_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_calibrate_only = True
    return bytes(converter.convert())


def _with_input_range(model: bytes, scale: float, zero_point: int) -> bytes:
    """Set the range of the input so that the quantiser derives exactly this scale and zero point from it."""
    tree = load(model)
    graph = tree.subgraphs[0]
    quantization = graph.tensors[graph.inputs[0]].quantization
    quantization.min = [(QMIN - zero_point) * scale]
    quantization.max = [(QMAX - zero_point) * scale]
    return _packed(tree)


def _quantise(calibrated: bytes) -> bytes:
    """Quantise weights, activations, input and output to int8; dense weights per tensor."""
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.toco.types_pb2 import QUANTIZED_INT8

    return bytes(
        mlir_quantize(
            calibrated,
            disable_per_channel=False,
            fully_quantize=True,
            inference_type=QUANTIZED_INT8,
            input_data_type=tf.int8,
            output_data_type=tf.int8,
            disable_per_channel_for_dense_layers=True,
        )
    )


def _in_order(model: bytes) -> bytes:
    """Put operators into the order of our graphs, and number the tensors in the order of their operators again.

    Each PAD runs right before its reader, and the convolution of a shortcut before the other one of the same input.
    """
    tree = load(model)
    graph = tree.subgraphs[0]
    operators = graph.operators
    kinds = {id(op): operator_name(tree, op) for op in operators}
    for op in list(operators):
        if kinds[id(op)] == "PAD":
            _move_before(operators, op, next(other for other in operators if op.outputs[0] in other.inputs))
        elif any(kinds[id(other)] == "ADD" and op.outputs[0] in other.inputs for other in operators):
            branch = next(other for other in operators if op.inputs[0] in other.inputs)
            if kinds[id(op)] == kinds[id(branch)] == "CONV_2D" and branch is not op:
                _move_before(operators, op, branch)
    written = [int(op.outputs[0]) for op in operators]
    order = sorted({*range(len(graph.tensors))} - {*written}) + written
    new = {old: position for position, old in enumerate(order)} | {-1: -1}  # an input left out: a bias of zeros
    graph.tensors = [graph.tensors[old] for old in order]
    for item in (graph, *operators):
        item.inputs, item.outputs = ([new[int(i)] for i in side] for side in (item.inputs, item.outputs))
    tree.signatureDefs = None  # they name tensors by number, and the slim file has none
    return _packed(tree)


def _move_before(operators: list[Any], op: Any, reader: Any) -> None:
    operators.remove(op)
    operators.insert(operators.index(reader), op)


def _packed(tree: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
