"""Speech for keywords of the user's choice: synthesised, and recordings of them beside it as soon as there are some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.tasks import espeak
from nas.tasks.audio_files import count_longer, fit, read_recording
from nas.tasks.base import Progress
from nas.tasks.espeak import Rng
from nas.tasks.keyword_recordings import ENOUGH, Recordings, find_recordings, folder_names
from nas.tasks.keywords import require_distinct_sounds, write_unknown
from nas.tasks.mfcc import SAMPLE_RATE_HZ
from nas.tasks.speech_commands import NOISE_FOLDER, cut_windows, share_recordings
from nas.tasks.synthesis import BABBLE_VOICES, Script, Synthesis, synthesise
from nas.tasks.waveform import AudioSet, Clips, Samples, full_scale, joined, lazy_clips, selected

NAME = "espeak-keywords"
VERSION = 1  # raise it whenever the same keywords are spoken in another way
SEED = 20_180_409
CLIPS = {"train": 400, "validation": 60, "test": 100}  # of each keyword
MOST_CLIPS = 5000  # of all keywords for training: where there are many, each gets fewer
UNKNOWN = {"train": 2, "validation": 1, "test": 1}  # times a keyword's clips

# Figures: DS-CNN of MLPerf Tiny, 10 epochs, seed 0; 500 synthesised test clips, 630 of Speech Commands v2.
NOTICE = (
    "SYNTHETIC DATA: the keywords are spoken by a program (espeak-ng), not by people.\n"
    "An accuracy on it says little about real speakers: a network for yes, no and stop got 87 % here, 56 % on people.\n"
    "Record some, and give --data DIR with {folders}."
)


@dataclass(frozen=True, slots=True)
class SpeechPlan:
    """What is to be read and synthesised; classes are the keywords, silence and unknown."""

    classes: tuple[str, ...]
    clip_samples: int
    recordings: Recordings | None

    @property
    def content(self) -> list[object]:
        """Identify the audio, for the feature cache."""
        made = [VERSION, SEED, CLIPS, MOST_CLIPS, UNKNOWN, espeak.version()]
        found = self.recordings
        return [made, None if found is None else [found.content, found.splits]]

    def read(self, progress: Progress | None) -> AudioSet:
        """Synthesise the speech and put the recordings beside it."""
        keywords = self.classes[:-2]
        require_distinct_sounds(keywords)
        made = synthesise(
            lambda split, rng: _write(split, keywords, rng), SEED, len(keywords), self.clip_samples, progress
        )
        notes = _long_phrases(made["train"], keywords, self.clip_samples)
        if self.recordings is None:
            train, validation, test = (made[split].clips for split in ("train", "validation", "test"))
            noise, notes = made["train"].noise, [_notice(self.classes), *notes]
            return AudioSet(NAME, True, self.classes, train, validation, test, noise, tuple(notes))
        return _with_recordings(self, self.recordings, made, notes)


def plan_speech(classes: tuple[str, ...], folder: Path | None, clip_samples: int) -> SpeechPlan:
    """See what there is, before anything is read or synthesised.

    Raises:
        DataError: the folder has no recordings of a keyword.
    """
    return SpeechPlan(classes, clip_samples, None if folder is None else find_recordings(folder, classes))


def count_training(classes: tuple[str, ...], folder: Path | None) -> int:
    """Count the training clips: synthesised ones and recordings."""
    found = None if folder is None else find_recordings(folder, classes)
    keywords = len(classes) - 2
    made = _count("train", keywords) * (keywords + UNKNOWN["train"] + 1)
    return made + (found.splits.count("train") if found else 0)


def _write(split: str, keywords: Sequence[str], rng: Rng) -> Script:
    """What is said in a split: every keyword equally often, what is unknown, and words for babble."""
    count = _count(split, len(keywords))
    unknown = write_unknown(keywords, UNKNOWN[split] * count + BABBLE_VOICES, rng)
    unknown, babble = unknown[:-BABBLE_VOICES], unknown[-BABBLE_VOICES:]
    spoken = [(keyword, label) for label, keyword in enumerate(keywords) for _ in range(count)]
    return Script(
        [*(keyword for keyword, _ in spoken), *unknown],
        [*(label for _, label in spoken), *[len(keywords) + 1] * len(unknown)],
        babble,
        count,
    )


def _count(split: str, keywords: int) -> int:
    """Synthesised clips of one keyword."""
    return min(CLIPS[split], max(1, MOST_CLIPS // keywords)) if split == "train" else CLIPS[split]


def _with_recordings(plan: SpeechPlan, found: Recordings, made: dict[str, Synthesis], notes: list[str]) -> AudioSet:
    """Training on both; validation and test on recordings where there are enough."""
    silence, length = len(plan.classes) - 2, plan.clip_samples
    measured = ("validation", "test") if found.by else ()
    stretches = _stretches(found.noise, measured)
    clips = {split: one.clips for split, one in made.items()}
    clips["train"] = joined([clips["train"], *_recorded(found, "train", silence, stretches, length)])
    for split in measured:
        recorded = _recorded(found, split, silence, stretches, length)
        if len(recorded) == 1:  # no silence of the user's own
            rows = np.flatnonzero(clips[split].labels == silence)
            recorded.append(selected(clips[split], rows[: _mean_count(recorded[0], silence)]))
        clips[split] = joined(recorded)
    noise = tuple(full_scale(stretch) for stretch in stretches["train"] if len(stretch) >= length)
    notes = [_told(found, clips, bool(stretches["test"])), *notes]
    if longer := count_longer(found.files, length):
        clip = f"{length / SAMPLE_RATE_HZ:g} s"
        notes.append(f"{longer:,} recordings last longer than the clip of {clip}; the loudest part is used")
    if not measured:
        notes.insert(0, _notice(plan.classes))
    return AudioSet(
        f"{found.root.resolve().name}+espeak" if measured else NAME,
        not measured,
        plan.classes,
        clips["train"],
        clips["validation"],
        clips["test"],
        (*made["train"].noise, *noise),
        tuple(notes),
    )


def _stretches(noise: Sequence[Path], measured: Sequence[str]) -> dict[str, list[Samples]]:
    """Recordings of noise, divided among the splits that need them."""
    recordings = {path.name: read_recording(path) for path in noise}
    return share_recordings({name: fit(audio, len(audio)) for name, audio in recordings.items()}, measured)


def _recorded(
    found: Recordings, split: str, silence: int, stretches: dict[str, list[Samples]], length: int
) -> list[Clips]:
    """The recordings of a split, and silence cut from noise, at most as many clips as a keyword has on average."""
    chosen = [index for index, owner in enumerate(found.splits) if owner == split]
    labels = np.array([found.labels[index] for index in chosen], np.int64)
    spoken = lazy_clips(
        [found.files[index] for index in chosen], labels, lambda path: fit(read_recording(path), length)
    )
    windows = cut_windows(stretches[split], length)
    wanted = min(len(windows), _mean_count(spoken, silence))
    if not wanted:
        return [spoken]
    kept = [windows[index] for index in np.linspace(0, len(windows) - 1, wanted).round().astype(int)]
    return [spoken, Clips(np.full(wanted, silence, np.int64), lambda start, stop: kept[start:stop])]


def _mean_count(clips: Clips, keywords: int) -> int:
    """Clips of a keyword on average, rounded up; labels from ``keywords`` on are of others."""
    return -(-int((clips.labels < keywords).sum()) // keywords)


def _notice(classes: tuple[str, ...]) -> str:
    return NOTICE.format(folders=folder_names(classes))


def _told(found: Recordings, clips: dict[str, Clips], own_silence: bool) -> str:
    """What a score was measured on."""
    if found.by is None:
        return (
            f"{len(found.files):,} recordings are trained on ({found.counts}); validation and test are synthesised "
            f"speech still:\nthey become recordings with {ENOUGH} of each keyword and of unknown"
        )
    silence = f"silence is cut from {NOISE_FOLDER}" if own_silence else "silence is generated noise"
    counts = " and ".join(f"{split} ({len(clips[split].labels):,} clips)" for split in ("validation", "test"))
    return (
        f"{counts} are recordings only, held out by {found.by}; {silence}; training adds synthesised speech\n"
        f"recordings: {found.counts}"
    )


def _long_phrases(made: Synthesis, keywords: Sequence[str], clip_samples: int) -> list[str]:
    """Warn of keywords that a clip is too short for."""
    notes, clip = [], clip_samples / SAMPLE_RATE_HZ
    for label, keyword in enumerate(keywords):
        seconds = made.seconds[made.clips.labels[: len(made.seconds)] == label]
        cut = (seconds > clip).mean()
        if cut > 0.01:
            enough = np.ceil(10 * np.quantile(seconds, 0.99)) / 10
            notes.append(
                f"WARNING: {cut:.0%} of the clips of {keyword!r} last longer than the clip of {clip:g} s and are cut; "
                f"--clip {enough:g}s holds them"
            )
    return notes
