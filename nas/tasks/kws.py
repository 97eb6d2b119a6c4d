"""Keyword spotting: ten words, silence and unknown, from one second of speech (MLPerf Tiny ``kws01``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.tasks import builtin_speech, mfcc
from nas.tasks.base import DataSet, InputQuantization, Progress, WireType
from nas.tasks.feature_cache import cached_features
from nas.tasks.metric import Objective
from nas.tasks.sources import resolve_source, user_cache
from nas.tasks.speech_commands import CLASSES, read_audio, take_inventory

# Input of the benchmark's reference network (kws_ref_model.tflite), to the last bit of its float32.
REFERENCE_INPUT = InputQuantization(scale=0.5847029089927673, zero_point=83)


@dataclass(frozen=True, slots=True)
class KeywordSpotting:
    """The keyword-spotting task of MLPerf Tiny, on the benchmark's MFCC features."""

    name: str = "kws"
    default_space: str = "kws_micronet"
    recipe: str = "kws"
    spaces: tuple[str, ...] = ("kws",)
    custom: bool = False
    input_shape: tuple[int, int, int] = mfcc.BENCHMARK.shape
    classes: tuple[str, ...] = CLASSES
    objective: Objective = Objective.CLASSIFY
    metric: str = "accuracy"
    input_quantization: InputQuantization = REFERENCE_INPUT
    wire_type: WireType = "int8"

    def fitted(self, input_shape: tuple[int, int, int]) -> KeywordSpotting:
        """The features are the benchmark's; see ``Task.fitted``."""
        return self

    def training_samples(self, source: str | Path | None = None) -> int:
        """Count the training clips on the disk, or those that would be generated; see ``Task.training_samples``."""
        folder = resolve_source(self.name, source)
        if folder is not None:
            return len(take_inventory(folder).clips["train"])
        return builtin_speech.CLIPS_PER_CLASS["train"] * len(CLASSES)

    def load(
        self,
        source: str | Path | None = None,
        *,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> DataSet:
        """Read Speech Commands in its official layout, or generate speech; see ``Task.load``."""
        folder = resolve_source(self.name, source)
        root = cache_dir if cache_dir is not None else user_cache() / "features"
        if folder is None:
            content = builtin_speech.content()
            return cached_features(root, content, lambda: builtin_speech.generate(progress), progress)
        inventory = take_inventory(folder)
        return cached_features(root, inventory.content, lambda: read_audio(inventory), progress)
