"""Variation of training batches on their device: what a recipe may ask for, and how much of it.

Every function takes a batch (n, c, h, w) and a generator on the batch's device, and returns a new batch of that shape.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from nas.space.spec import Table

if TYPE_CHECKING:
    import torch

Share = Annotated[float, Field(ge=0, le=1)]


class Mask(Table):
    """SpecAugment (arXiv:1904.08779) with one mask of each kind: longest run, as a share of the axis."""

    frames: Share
    coefficients: Share

    def __call__(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Hide a run of frames and a run of coefficients of each sample (n, c, frames, coefficients).

        A hidden value becomes the mean of its coefficient over the sample, which is neutral whatever scale or offset
        the features have.
        """
        import torch

        longest = [round(share * size) for share, size in zip(self.shares, batch.shape[2:], strict=True)]
        frames = _random_runs(len(batch), batch.shape[2], longest[0], generator)
        coefficients = _random_runs(len(batch), batch.shape[3], longest[1], generator)
        hidden = frames[:, None, :, None] | coefficients[:, None, None, :]
        return torch.where(hidden.to(batch.device), batch.mean(dim=2, keepdim=True), batch)

    @property
    def shares(self) -> tuple[float, float]:
        """Of frames and of coefficients."""
        return self.frames, self.coefficients


class Shift(Table):
    """The custom of He et al. (arXiv:1512.03385, section 4.2) for small images: a mirror, and a shift of some pixels.

    They pad with zeros. Here the border is repeated, as in the benchmark's training script (mlcommons/tiny,
    image_classification/train.py): zero is black, no neutral value.
    """

    pixels: Annotated[int, Field(ge=0)]

    def __call__(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Mirror half of the images and shift each by up to ``pixels`` either way, repeating its border."""
        import torch

        count, channels, height, width = batch.shape
        draws = torch.rand(3, count, 1, generator=generator, device=generator.device).to(batch.device)
        down, right = ((draw * (2 * self.pixels + 1)).long() - self.pixels for draw in draws[:2])
        rows = (torch.arange(height, device=batch.device) + down).clamp(0, height - 1)
        columns = (torch.arange(width, device=batch.device) + right).clamp(0, width - 1)
        columns = torch.where(draws[2] < 0.5, width - 1 - columns, columns)
        images = torch.arange(count, device=batch.device)[:, None, None]
        pixels = (images * height + rows[:, :, None]) * width + columns[:, None, :]  # (n, h, w), in the flat batch
        flat = batch.permute(0, 2, 3, 1).reshape(-1, channels)  # no copy where channels are last in memory
        return flat[pixels.flatten()].view(count, height, width, channels).permute(0, 3, 1, 2)


class Warp(Table):
    """Rotation, shift and zoom of photographs, half of them mirrored."""

    degrees: Annotated[float, Field(ge=0, le=180)]
    shift: Share
    """Of the side."""
    zoom: Share
    """0.1: between 0.9 and 1.1, of height and width each."""

    def __call__(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Turn, shift, stretch and mirror each image at random, repeating its border.

        Every pixel is the nearest one of the image: that is one gather, several times faster than to interpolate.
        """
        import torch

        count, channels, height, width = batch.shape
        draws = torch.rand(6, count, 1, 1, generator=generator, device=generator.device).to(batch.device)
        angle, down, right, tall, wide = 2 * draws[:5] - 1
        y = torch.arange(height, device=batch.device)[:, None] - (height - 1) / 2
        x = torch.arange(width, device=batch.device) - (width - 1) / 2
        x = torch.where(draws[5] < 0.5, -x, x)
        angle = math.radians(self.degrees) * angle
        cos, sin = torch.cos(angle), torch.sin(angle)
        tall, wide = 1 + self.zoom * tall, 1 + self.zoom * wide
        rows = cos * tall * y - sin * wide * x + (self.shift * down + 0.5) * height - 0.5
        columns = sin * tall * y + cos * wide * x + (self.shift * right + 0.5) * width - 0.5
        rows, columns = rows.round_().clamp_(0, height - 1).int(), columns.round_().clamp_(0, width - 1).int()
        first = torch.arange(0, count * height * width, height * width, dtype=torch.int32, device=batch.device)
        pixels = rows.mul_(width).add_(columns).add_(first[:, None, None])  # in the flat batch
        flat = batch.permute(0, 2, 3, 1).reshape(-1, channels)  # no copy where channels are last in memory
        return flat.index_select(0, pixels.flatten()).view(count, height, width, channels).permute(0, 3, 1, 2)


class Augmentation(Table):
    """What happens to each training batch, in this order; what is not named does not happen."""

    mask: Mask | None = None
    shift: Shift | None = None
    warp: Warp | None = None

    def __call__(self, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Vary a batch (n, c, h, w); a pure function of the batch and the generator's state."""
        for step in (self.mask, self.shift, self.warp):
            batch = batch if step is None else step(batch, generator)
        return batch


def _random_runs(count: int, length: int, longest: int, generator: torch.Generator) -> torch.Tensor:
    """Mark one run of 0 to ``longest`` positions in each row of (count, length); sizes are equally likely."""
    import torch

    size, place = torch.rand(2, count, 1, generator=generator, device=generator.device)
    width = (size * (longest + 1)).floor()
    start = (place * (length - width + 1)).floor()
    position = torch.arange(length, device=generator.device)
    marked: torch.Tensor = (position >= start) & (position < start + width)
    return marked
