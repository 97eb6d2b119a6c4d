"""The process behind ``nas.export.tflite.convert_int8``: ``python -m nas.export.convert_worker FOLDER``.

Reads ``request.json`` and ``calibration.npy`` in FOLDER, writes ``model.tflite`` there. The only module that
imports TensorFlow and onnx2tf. Three steps:

1. onnx2tf builds a Keras model; nothing is saved, its SavedModel and float files would take 3 s, the model
takes 0.2 s;
2. the TFLite converter calibrates it: a float flatbuffer with the range of every activation;
3. the range of the input is set as prescribed, and the MLIR quantiser makes the whole int8.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

QMIN, QMAX = -128, 127


def main(folder: Path) -> None:
    """Convert what ``folder`` holds."""
    request = json.loads((folder / "request.json").read_text())
    calibration = np.load(folder / "calibration.npy")
    calibrated = _calibrate(_keras_model(Path(request["onnx"]), folder), calibration)
    if request["input_quantization"] is not None:
        calibrated = _with_input_range(calibrated, *request["input_quantization"])
    (folder / "model.tflite").write_bytes(_quantise(calibrated))


def _keras_model(onnx_path: Path, folder: Path) -> Any:
    """Translate NCHW ONNX to an NHWC Keras model."""
    import onnx
    from onnx2tf import onnx2tf

    # onnx2tf fetches sample images from GitHub for any 3-channel input, used or not.
    onnx2tf.download_test_image_data = lambda: np.zeros((20, 128, 128, 3), np.float32)
    return onnx2tf.convert(
        onnx_graph=onnx.load(onnx_path),
        output_folder_path=str(folder / "saved_model"),
        not_use_onnxsim=True,  # the graph is simple already, and onnxsim would be yet another process
        disable_model_save=True,
        non_verbose=True,
        verbosity="error",
    )


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
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    graph = tree.subgraphs[0]
    quantization = graph.tensors[graph.inputs[0]].quantization
    quantization.min = [(QMIN - zero_point) * scale]
    quantization.max = [(QMAX - zero_point) * scale]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
