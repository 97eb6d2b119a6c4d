"""How networks see a spectrogram: in pieces of some frames, cut out when they are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nas.tasks.log_mel import BANDS, FRAMES
from nas.tasks.metric import Objective

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class View:
    """One way to cut spectrograms, and what networks make of the pieces.

    Attributes:
        frames: of a piece.
        step: frames from one piece to the next where a clip is scored.
        training_step: the same where networks are trained, for each variant.
        variants: frames by which pieces for training start later. An epoch draws one of them for each step: all are
            seen in time, and no epoch is spent on neighbours, which are nearly the same.
        form: (n, frames, bands) -> (n, *input_shape).
    """

    input_shape: tuple[int, int, int]
    objective: Objective
    frames: int
    step: int
    training_step: int
    variants: tuple[int, ...]
    form: Callable[[Float32], Float32]

    @property
    def starts(self) -> tuple[int, ...]:
        """First frame of each piece by which a clip is scored."""
        return tuple(range(0, FRAMES - self.frames + 1, self.step))

    def training_starts(self, variant: int = 0) -> tuple[int, ...]:
        """First frame of each piece for training, as many for each variant."""
        last = FRAMES - self.frames - self.variants[-1]
        return tuple(range(variant, last + variant + 1, self.training_step))


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of clips as an array (n, h, w, c) of float32 would hold them: all of one clip, then those of the next.

    Attributes:
        clips: spectrograms (clips, 200, 128).
        starts: first frame of each piece of a clip.
    """

    clips: Float32
    starts: tuple[int, ...]
    view: View

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, h, w, c)."""
        return len(self), *self.view.input_shape

    def __len__(self) -> int:
        return len(self.clips) * len(self.starts)

    def __getitem__(self, rows: slice) -> Float32:
        clip, piece = np.divmod(np.arange(len(self))[rows], len(self.starts))
        frames = np.array(self.starts)[piece, np.newaxis] + np.arange(self.view.frames)
        return self.view.form(self.clips[clip[:, np.newaxis], frames])


def _flat(pieces: Float32) -> Float32:
    """(n, 5, 128) -> (n, 1, 1, 640)."""
    return pieces.reshape(len(pieces), 1, 1, -1)


def _pooled(pieces: Float32) -> Float32:
    """(n, 64, 128) -> (n, 32, 32, 1): means over 2 frames and 4 bands."""
    count, frames, bands = pieces.shape
    means: Float32 = pieces.reshape(count, 32, frames // 32, 32, bands // 32).mean(axis=(2, 4))
    return means[..., np.newaxis]


# The benchmark's: five frames at a time, from frame to frame (mlcommons/tiny, anomaly_detection/common.py).
WINDOWS = View((1, 1, 5 * BANDS), Objective.RECONSTRUCT, 5, 1, 5, (0, 1, 2, 3, 4), _flat)
# MicroNets' (section 5.2.3): 64 frames, every 20 frames, on 32x32; there from 64 bands, here from the benchmark's 128.
PATCHES = View((32, 32, 1), Objective.CLASSIFY, 64, 20, 20, (0, 4, 8, 12, 16), _pooled)
