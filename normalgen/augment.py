"""What a reference may undergo without becoming another part.

`safe` turns by at most 5 degrees, scales by 0.95-1.05, and changes brightness and contrast by at most 5 %. It never
mirrors: a mirrored thread is a defect. `flips` adds mirrors, `rotations` quarter turns, for categories that allow them.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from normalgen.presets import Augment

__all__ = ["augment", "augment_each"]

DEGREES, SCALE, LIGHT = 5.0, 0.05, 0.05


def augment(image: Tensor, kind: Augment, draw: torch.Generator) -> Tensor:
    """`image` (3, S, S) in [0, 1], changed at random as `kind` allows; the border is mirrored where a corner opens."""
    if kind == "none":
        return image
    if kind == "flips":
        image = _flip(image, draw)
    if kind == "rotations":
        image = image.rot90(int(torch.randint(4, (), generator=draw)), (1, 2))
    return _light(_move(image, draw), draw)


def augment_each(images: Tensor, kind: Augment, draws: Sequence[torch.Generator]) -> Tensor:
    """`augment` on every image of (N, 3, S, S), each with its own generator."""
    return torch.stack([augment(image, kind, draw) for image, draw in zip(images, draws, strict=True)])


def _spread(limit: float, draw: torch.Generator) -> float:
    return limit * (2 * float(torch.rand((), generator=draw)) - 1)


def _flip(image: Tensor, draw: torch.Generator) -> Tensor:
    axes = [axis for axis in (1, 2) if torch.rand((), generator=draw) < 0.5]
    return image.flip(axes) if axes else image


def _move(image: Tensor, draw: torch.Generator) -> Tensor:
    angle = math.radians(_spread(DEGREES, draw))
    inverse = 1 / (1 + _spread(SCALE, draw))
    cos, sin = inverse * math.cos(angle), inverse * math.sin(angle)
    turn = torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]])
    grid = affine_grid(turn, [1, *image.shape], align_corners=False)
    return grid_sample(image[None], grid, mode="bicubic", padding_mode="reflection", align_corners=False)[0].clamp(0, 1)


def _light(image: Tensor, draw: torch.Generator) -> Tensor:
    contrast, brightness = 1 + _spread(LIGHT, draw), 1 + _spread(LIGHT, draw)
    mean = image.mean()
    return (((image - mean) * contrast + mean) * brightness).clamp(0, 1)
