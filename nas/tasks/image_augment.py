"""Variation of training images as in the person-detection benchmark, on a whole batch at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# mlcommons/tiny, visual_wake_words/train_vww.py: rotation, shift, zoom, and half of the images mirrored
MAX_ANGLE = math.radians(10)
MAX_SHIFT = 0.05  # of the side
MAX_ZOOM = 0.1  # 0.9 to 1.1, of height and width each


def vary_images(batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Turn, shift, stretch and mirror each image (n, c, h, w) at random, repeating its border.

    Every pixel is the nearest one of the image: that is one gather, several times faster than to interpolate.
    """
    import torch

    count, channels, height, width = batch.shape
    draws = torch.rand(6, count, 1, 1, generator=generator, device=generator.device).to(batch.device)
    angle, down, right, tall, wide = 2 * draws[:5] - 1
    y = torch.arange(height, device=batch.device)[:, None] - (height - 1) / 2
    x = torch.arange(width, device=batch.device) - (width - 1) / 2
    x = torch.where(draws[5] < 0.5, -x, x)
    cos, sin = torch.cos(MAX_ANGLE * angle), torch.sin(MAX_ANGLE * angle)
    tall, wide = 1 + MAX_ZOOM * tall, 1 + MAX_ZOOM * wide
    rows = cos * tall * y - sin * wide * x + (MAX_SHIFT * down + 0.5) * height - 0.5
    columns = sin * tall * y + cos * wide * x + (MAX_SHIFT * right + 0.5) * width - 0.5
    rows, columns = rows.round_().clamp_(0, height - 1).int(), columns.round_().clamp_(0, width - 1).int()
    first = torch.arange(0, count * height * width, height * width, dtype=torch.int32, device=batch.device)
    pixels = rows.mul_(width).add_(columns).add_(first[:, None, None])  # in the flat batch
    flat = batch.permute(0, 2, 3, 1).reshape(-1, channels)  # no copy where channels are last in memory
    return flat.index_select(0, pixels.flatten()).view(count, height, width, channels).permute(0, 3, 1, 2)
