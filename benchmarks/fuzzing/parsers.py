"""What is fuzzed, by the names that ``benchmarks/fuzz.py`` takes."""

from __future__ import annotations

from collections.abc import Callable

from fuzzing import parse_data, parse_models, parse_protocol, parse_runs, parse_text
from fuzzing.parser import Parser

PARSERS: dict[str, Callable[[], Parser]] = {
    "units": parse_text.units,
    "spaces": parse_text.spaces,
    "constraints": parse_text.constraints,
    "studies": parse_text.studies,
    "recipes": parse_text.recipes,
    "networks": parse_runs.networks,
    "runs": parse_runs.runs,
    "pages": parse_runs.pages,
    "tflite": parse_models.tflite,
    "plans": parse_models.plans,
    "c": parse_models.c_source,
    "onnx": parse_models.onnx,
    "weights": parse_runs.weights,
    "wavs": parse_data.wavs,
    "images": parse_data.images,
    "cifar": parse_data.cifar,
    "evaluation": parse_data.evaluation,
    "speech-folders": parse_data.speech_folders,
    "sound-folders": parse_data.sound_folders,
    "image-folders": parse_data.image_folders,
    "machine-folders": parse_data.machine_folders,
    "device": parse_protocol.device,
    "runner": parse_protocol.runner,
    "meter": parse_protocol.meter,
    "submissions": parse_runs.submissions,
}
