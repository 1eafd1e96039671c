"""Augmentations that leave a reference the same part.

`safe` turns by at most 5 degrees, scales by 0.95-1.05, and changes brightness and contrast by at most 5 %. It never
mirrors: a mirrored thread is a defect. For categories that allow it, `flips` adds mirroring, `rotations` quarter turns,
and `turned` turns by any angle. `normalgen.customizing.auto_augment` finds out which of them suit the references.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from normalgen.errors import PresetError
from normalgen.settings.presets import Augment

__all__ = ["augment", "augment_each"]

DEGREES, SCALE, LIGHT = 5.0, 0.05, 0.05


def augment(image: Tensor, kind: Augment, draw: torch.Generator, piece: int = 0) -> Tensor:
    """Return `image` (3, S, S) in [0, 1], changed at random as `kind` allows; opened corners show the mirrored border.

    With `piece` above 0, compute and return only a random square of the result, (3, piece, piece); the whole result if
    S is not larger than `piece`.

    Raises:
        PresetError: `kind` is "auto".
    """
    if kind == "auto":
        raise PresetError("resolve the augmentation 'auto' first with normalgen.customizing.auto_augment.settled")
    if kind == "flips":
        image = _flip(image, draw)
    if kind == "rotations":
        image = image.rot90(int(torch.randint(4, (), generator=draw)), (1, 2))
    grid = None if kind == "none" else _moved(image, 180.0 if kind == "turned" else DEGREES, draw)
    contrast, brightness = (1.0, 1.0) if kind == "none" else (1 + _spread(LIGHT, draw), 1 + _spread(LIGHT, draw))
    window = _window(image.shape[-1], piece, draw)
    if grid is None:
        return image[:, *window]
    moved = grid_sample(image[None], grid[:, *window], mode="bicubic", padding_mode="reflection", align_corners=False)[
        0
    ].clamp(0, 1)
    mean = image.double().mean().float()  # a sum in float32 depends on the number of threads
    return (((moved - mean) * contrast + mean) * brightness).clamp(0, 1)


def augment_each(images: Tensor, kind: Augment, draws: Sequence[torch.Generator], piece: int = 0) -> Tensor:
    """Augment each image of (N, 3, S, S) with its own generator; arguments as `augment`."""
    return torch.stack([augment(image, kind, draw, piece) for image, draw in zip(images, draws, strict=True)])


def _spread(limit: float, draw: torch.Generator) -> float:
    return limit * (2 * float(torch.rand((), generator=draw)) - 1)


def _flip(image: Tensor, draw: torch.Generator) -> Tensor:
    axes = [axis for axis in (1, 2) if torch.rand((), generator=draw) < 0.5]
    return image.flip(axes) if axes else image


def _moved(image: Tensor, degrees: float, draw: torch.Generator) -> Tensor:
    """Return the source position of each pixel, (1, S, S, 2)."""
    angle = math.radians(_spread(degrees, draw))
    inverse = 1 / (1 + _spread(SCALE, draw))
    cos, sin = inverse * math.cos(angle), inverse * math.sin(angle)
    turn = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]])
    return affine_grid(turn, [1, *image.shape], align_corners=False)


def _window(size: int, piece: int, draw: torch.Generator) -> tuple[slice, slice]:
    """Return the rows and columns of a random square; all of them if it is not smaller than the image."""
    if not 0 < piece < size:
        return slice(None), slice(None)
    y, x = torch.randint(size - piece + 1, (2,), generator=draw).tolist()
    return slice(y, y + piece), slice(x, x + piece)
