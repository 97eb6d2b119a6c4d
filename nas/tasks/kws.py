"""Keyword spotting: ten words, silence and unknown, from one second of speech (MLPerf Tiny ``kws01``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.tasks import builtin_speech, mfcc
from nas.tasks.base import DataSet, InputQuantization, Progress, WireType
from nas.tasks.feature_cache import cached_features
from nas.tasks.metric import Objective
from nas.tasks.sources import resolve_source, user_cache
from nas.tasks.speech_commands import CLASSES, read_audio, take_inventory

if TYPE_CHECKING:
    import torch

# Input of the benchmark's reference network (kws_ref_model.tflite), to the last bit of its float32.
REFERENCE_INPUT = InputQuantization(scale=0.5847029089927673, zero_point=83)

# SpecAugment (arXiv:1904.08779) with one mask of each kind, scaled down to 49 frames of 10 coefficients.
MASKED = (8 / 49, 2 / 10)  # most of the frames, and of the coefficients


@dataclass(frozen=True, slots=True)
class KeywordSpotting:
    """The keyword-spotting task of MLPerf Tiny, on the benchmark's MFCC features."""

    name: str = "kws"
    default_space: str = "kws_micronet"
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

    def augment(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Hide a run of frames and a run of coefficients of each sample; see ``hide_runs``."""
        return hide_runs(batch, generator)


def hide_runs(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Hide a run of frames and a run of coefficients of each sample (n, c, frames, coefficients).

    A hidden value becomes the mean of its coefficient over the sample, which is neutral whatever scale or offset the
    features have.
    """
    import torch

    longest = [round(share * length) for share, length in zip(MASKED, batch.shape[2:], strict=True)]
    frames = _random_runs(len(batch), batch.shape[2], longest[0], generator)
    coefficients = _random_runs(len(batch), batch.shape[3], longest[1], generator)
    hidden = frames[:, None, :, None] | coefficients[:, None, None, :]
    return torch.where(hidden.to(batch.device), batch.mean(dim=2, keepdim=True), batch)


def _random_runs(count: int, length: int, longest: int, generator: torch.Generator) -> torch.Tensor:
    """Mark one run of 0 to ``longest`` positions in each row of (count, length); sizes are equally likely."""
    import torch

    size, place = torch.rand(2, count, 1, generator=generator, device=generator.device)
    width = (size * (longest + 1)).floor()
    start = (place * (length - width + 1)).floor()
    position = torch.arange(length, device=generator.device)
    marked: torch.Tensor = (position >= start) & (position < start + width)
    return marked
