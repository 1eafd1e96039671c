"""Augmentations that leave a reference the same part, and whole.

`safe` turns by at most 5 degrees, scales by 0.95-1.05, and changes brightness and contrast by at most 5 %. It never
mirrors: a mirrored thread is a defect. For categories that allow it, `flips` adds mirroring, `rotations` quarter turns,
and `turned` turns by any angle. Of these, only those are drawn at which the part stays whole
(`normalgen.images.turning`). `normalgen.customizing.auto_augment` finds out which of them suit the references.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from normalgen.errors import PresetError
from normalgen.images.turning import STEPS, Turnable
from normalgen.settings.presets import Augment

__all__ = ["Border", "augment", "augment_each", "cut_each", "rotations", "turn"]

DEGREES, SCALE, LIGHT = 5, 0.05, 0.05
Border = Literal["whole", "mirrored", "black"]
"""What a turned view shows beyond the photo: nothing, for it is enlarged or led on so that the part stays whole
(`normalgen.images.turning`); the mirrored photo; or black. The last two turn about the photo's middle at its own scale.
"""


def augment(photo: Turnable, kind: Augment, draw: torch.Generator, piece: int = 0) -> Tensor:
    """Return `photo`, (3, S, S) in [0, 1], changed at random as `kind` allows; see `Turnable` for what opens.

    With `piece` above 0, compute and return only a random square of the result, (3, piece, piece); the whole result if
    S is not larger than `piece`.

    Raises:
        PresetError: `kind` is "auto".
    """
    if kind == "auto":
        raise PresetError("resolve the augmentation 'auto' first with normalgen.customizing.auto_augment.settled")
    if kind == "none":
        return _cut(photo.photo, draw, piece).float() / 255
    grid = photo.grid(*_move(photo, kind, draw))
    axes = [axis for axis in (0, 1) if kind == "flips" and torch.rand((), generator=draw) < 0.5]
    contrast, brightness = 1 + _spread(LIGHT, draw), 1 + _spread(LIGHT, draw)
    seen = photo.sample(_cut(grid.flip(axes).permute(2, 0, 1), draw, piece).permute(1, 2, 0))
    return (((seen - photo.mean) * contrast + photo.mean) * brightness).clamp(0, 1)


def augment_each(photos: Sequence[Turnable], kind: Augment, draws: Sequence[torch.Generator], piece: int = 0) -> Tensor:
    """Augment each photo with its own generator, (N, 3, S, S); arguments as `augment`."""
    return torch.stack([augment(photo, kind, draw, piece) for photo, draw in zip(photos, draws, strict=True)])


def cut_each(images: Tensor, draws: Sequence[torch.Generator], piece: int) -> Tensor:
    """Return a random square of each of (N, 3, S, S), (N, 3, piece, piece); all of it if it is not larger, or for 0."""
    return torch.stack([_cut(image, draw, piece) for image, draw in zip(images, draws, strict=True)])


def rotations(photos: Sequence[Turnable], n: int) -> Tensor:
    """Return n views (n, 3, S, S) of photos in turn, turned by multiples of 360 / n degrees.

    Where a photo would not stay whole at its own scale, the view is enlarged to its real pixels, or reduced to fit.
    """
    return torch.stack([turn(photos[i % len(photos)], round(i * STEPS / n)) for i in range(n)])


def turn(photo: Turnable, step: int, border: Border = "whole") -> Tensor:
    """Return a photo turned by `step` of `STEPS`, (3, S, S) in [0, 1]."""
    if border == "whole":
        return photo.sample(photo.grid(step, float(torch.ones(()).clamp(photo.least[step], photo.most[step]))))
    flat = replace(photo, layers=photo.photo, middle=(0.0, 0.0), box=torch.zeros_like(photo.box))
    grid = flat.grid(step, 1.0)
    seen = flat.sample(grid)
    return seen if border == "mirrored" else torch.where((grid.abs() <= 1).all(-1), seen, 0.0)


def _move(photo: Turnable, kind: Augment, draw: torch.Generator) -> tuple[int, float]:
    """Return a turn, in steps, and a scale at which the photo stays whole."""
    reach = STEPS * DEGREES // 360
    steps = torch.arange(STEPS) if kind == "turned" else torch.arange(-reach, reach + 1)
    if kind == "rotations":
        steps = (steps[:, None] + torch.arange(4) * STEPS // 4).flatten()
    least, most = photo.least[steps].clamp(min=1 - SCALE), photo.most[steps].clamp(max=1 + SCALE)
    whole = (least <= most).nonzero()[:, 0]
    chosen = whole[int(torch.randint(len(whole), (), generator=draw))]
    low, high = float(least[chosen]), float(most[chosen])
    return int(steps[chosen]), low + (high - low) * float(torch.rand((), generator=draw))


def _spread(limit: float, draw: torch.Generator) -> float:
    return limit * (2 * float(torch.rand((), generator=draw)) - 1)


def _cut(image: Tensor, draw: torch.Generator, piece: int) -> Tensor:
    """Return a random square of (C, S, S); all of it if it is not larger than `piece`."""
    size = image.shape[-1]
    if not 0 < piece < size:
        return image
    y, x = torch.randint(size - piece + 1, (2,), generator=draw).tolist()
    return image[:, y : y + piece, x : x + piece]
