"""Networks for the user's own sounds: keywords of the user's choice, or folders of recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from nas.errors import DataError, InputError
from nas.tasks import keyword_speech
from nas.tasks.audio_features import feature_settings
from nas.tasks.audio_folders import LAYOUT, find_classes, read_folder, read_sounds
from nas.tasks.base import DataSet, InputQuantization, Progress, WireType
from nas.tasks.feature_cache import cached_features
from nas.tasks.keywords import parse_keywords
from nas.tasks.kws import REFERENCE_INPUT
from nas.tasks.metric import Objective
from nas.tasks.mfcc import BENCHMARK, FeatureSettings
from nas.tasks.settings import TaskSettings
from nas.tasks.sources import BUILTIN, resolve_source, user_cache
from nas.tasks.waveform import AudioSet

VERSION = 1  # raise it whenever the same files give other clips


@dataclass(frozen=True, slots=True)
class UserAudio:
    """What tasks on the user's own sounds have in common: spaces of keyword spotting, fitted to them."""

    name: str
    classes: tuple[str, ...]
    features: FeatureSettings
    default_space: str = "kws_micronet"
    recipe: str = "kws"
    spaces: tuple[str, ...] = ("kws",)
    custom: bool = True
    objective: Objective = Objective.CLASSIFY
    metric: str = "accuracy"
    wire_type: WireType = "int8"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Frames, coefficients or mel bins, 1."""
        return self.features.shape

    @property
    def input_quantization(self) -> InputQuantization | None:
        """The benchmark's scale is made for its features alone."""
        return REFERENCE_INPUT if self.features == BENCHMARK else None

    def fitted(self, input_shape: tuple[int, int, int]) -> Self:
        """Features are as the settings say; see ``Task.fitted``."""
        return self

    def _cached(
        self, content: object, read: Callable[[], AudioSet], cache_dir: Path | None, progress: Progress | None
    ) -> DataSet:
        root = cache_dir if cache_dir is not None else user_cache() / "features"
        identity = [self.name, VERSION, self.classes, asdict(self.features), content]
        return cached_features(root, identity, read, progress, self.features)


@dataclass(frozen=True, slots=True)
class Sounds(UserAudio):
    """Sound classification: the classes are the folders of the data set."""

    def training_samples(self, source: str | Path | None = None) -> int:
        """Count the recordings that are left to train on; see ``Task.training_samples``."""
        return read_folder(_folder(source)).count("train")

    def load(
        self,
        source: str | Path | None = None,
        *,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> DataSet:
        """Read the recordings; see ``Task.load`` and ``audio_folders`` for the layout."""
        folder = read_folder(_folder(source))
        if folder.classes != self.classes:
            raise DataError(f"{folder.root}: classes {_names(folder.classes)}, expected {_names(self.classes)}")
        content = [folder.content, folder.splits]
        return self._cached(content, lambda: read_sounds(folder, self.features.clip_samples), cache_dir, progress)


@dataclass(frozen=True, slots=True)
class Keywords(UserAudio):
    """Spotting of the user's own keywords, on synthesised speech and recordings of theirs."""

    def training_samples(self, source: str | Path | None = None) -> int:
        """Count the clips that would be generated and the recordings; see ``Task.training_samples``."""
        return keyword_speech.count_training(self.classes, _recordings(source))

    def load(
        self,
        source: str | Path | None = None,
        *,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> DataSet:
        """Synthesise speech and add recordings, where a folder is given; see ``Task.load``."""
        speech = keyword_speech.plan_speech(self.classes, _recordings(source), self.features.clip_samples)
        return self._cached(speech.content, lambda: speech.read(progress), cache_dir, progress)


def make_sounds(source: str | Path | None, settings: TaskSettings) -> Sounds:
    """The task ``audio``, whose classes are the folders in ``source``.

    Raises:
        InputError: no data set was named, or a setting is wrong.
        DataError: it has no classes.
    """
    return Sounds("audio", find_classes(_folder(source)), feature_settings(settings))


def make_keywords(settings: TaskSettings) -> Keywords:
    """The task ``kws`` with keywords of the user's choice, then silence and unknown."""
    return Keywords("kws", (*parse_keywords(settings.keywords), "silence", "unknown"), feature_settings(settings))


def _folder(source: str | Path | None) -> Path:
    folder = resolve_source("audio", source)
    if folder is None:
        raise InputError(f"the task audio needs --data DIR: {LAYOUT}")
    return folder


def _recordings(source: str | Path | None) -> Path | None:
    """Only a folder that was named: the default ones hold the benchmark's words."""
    return resolve_source("kws", source or BUILTIN)


def _names(classes: tuple[str, ...]) -> str:
    return ", ".join(classes)
