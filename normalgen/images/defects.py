"""Defects drawn on the object of a normal image, to check gates and detectors, never to train them."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

__all__ = ["KINDS", "object_mask", "paste", "paste_fragment"]

Rng = torch.Generator


def paste(image: Tensor, kind: str, draw: Rng) -> tuple[Tensor, Tensor]:
    """Draw a defect of one of `KINDS` on the object of `image` (3, S, S) in [0, 1]; also return its mask (S, S) bool.

    Sizes are shares of S: a scratch is 0.15-0.35 long and about 0.01 wide, a spot 0.03-0.07 across. Each is at
    least 0.2 darker or brighter than the pixels it covers.
    """
    size = image.shape[-1]
    positions = object_mask(image).nonzero()
    row, column = positions[int(torch.randint(len(positions), (), generator=draw))].tolist()
    rows, columns = torch.meshgrid(torch.arange(size) - row, torch.arange(size) - column, indexing="ij")
    alpha, colour = KINDS[kind](rows / size, columns / size, image, draw)
    return image + alpha * (colour - image), alpha > 0.3


def paste_fragment(image: Tensor, draw: Rng) -> tuple[Tensor, Tensor]:
    """Show a mirrored part of the object of `image` (3, S, S) again, in a corner; also return its mask (S, S) bool.

    So looks a photo that was turned and filled by reflection. The sides of the corner are 0.15-0.35 long, as shares of
    S. It is drawn again where less than a fifth of the corner would show the object.
    """
    size = image.shape[-1]
    at = (torch.arange(size) + 0.5) / size
    mask = object_mask(image)
    positions = mask.nonzero()
    for _ in range(100):
        high, wide = _uniform(0.15, 0.35, draw), _uniform(0.15, 0.35, draw)
        flips = [axis for axis in (0, 1) if torch.rand((), generator=draw) < 0.5]
        corner = (at[:, None] / high + at[None, :] / wide < 1).flip(flips)
        axis = int(torch.randint(2, (), generator=draw))
        point = positions[int(torch.randint(len(positions), (), generator=draw))]
        target = corner.nonzero().double().mean(0).round().long()
        point[axis] = size - 1 - point[axis]
        by = (target - point).tolist()
        seen = mask.flip(axis).roll(by, (0, 1))
        if seen[corner].double().mean() > 0.2:
            break
    return torch.where(corner, image.flip(axis + 1).roll(by, (1, 2)), image), corner


def object_mask(image: Tensor) -> Tensor:
    """Return where an image (3, S, S) differs from its border's colour, bool (S, S), eroded by S / 32; else all."""
    border = torch.cat([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], 1)
    differs = (image - border.median(1).values[:, None, None]).abs().sum(0) > 0.25
    size = image.shape[-1] // 32 * 2 + 1
    inside = 1 - max_pool2d((~differs).float()[None], size, 1, size // 2)[0]
    for mask in (inside > 0, differs):
        if mask.float().mean() > 0.01:
            return mask
    return torch.ones_like(differs)


def _uniform(low: float, high: float, draw: Rng) -> float:
    return low + (high - low) * float(torch.rand((), generator=draw))


def _edge(distance: Tensor, width: float, soft: float = 0.002) -> Tensor:
    """Return 1 within `width` and 0 beyond, with an edge of width `soft`."""
    return torch.sigmoid((width - distance) / soft)


def _along(y: Tensor, x: Tensor, points: list[tuple[float, float]]) -> Tensor:
    """Return the distance to a line through `points`."""
    nearest = torch.full_like(y, torch.inf)
    for (top, left), (bottom, right) in pairwise(points):
        down, across = bottom - top, right - left
        share = (((y - top) * down + (x - left) * across) / (down**2 + across**2)).clamp(0, 1)
        nearest = torch.minimum(nearest, torch.hypot(y - top - share * down, x - left - share * across))
    return nearest


def _walk(length: float, pieces: int, bend: float, draw: Rng) -> list[tuple[float, float]]:
    angle = _uniform(0, 2 * math.pi, draw)
    points = [(-length / 2 * math.sin(angle), -length / 2 * math.cos(angle))]
    for _ in range(pieces):
        angle += _uniform(-bend, bend, draw)
        top, left = points[-1]
        points.append((top + length / pieces * math.sin(angle), left + length / pieces * math.cos(angle)))
    return points


def _contrast(image: Tensor, alpha: Tensor, least: float, most: float, draw: Rng) -> Tensor:
    """Return a colour darker or brighter than the pixels under `alpha`, whichever leaves more room."""
    covered = (image * alpha).sum((1, 2)) / alpha.sum().clamp(min=1e-6)
    change = _uniform(least, most, draw) * (-1 if covered.mean() > 0.5 else 1)
    return (covered + change).clamp(0, 1)[:, None, None]


def _scratch(y: Tensor, x: Tensor, image: Tensor, draw: Rng) -> tuple[Tensor, Tensor]:
    points = _walk(_uniform(0.15, 0.35, draw), 3, 0.2, draw)
    alpha = _edge(_along(y, x, points), _uniform(0.003, 0.006, draw))
    return alpha, _contrast(image, alpha, 0.3, 0.6, draw)


def _crack(y: Tensor, x: Tensor, image: Tensor, draw: Rng) -> tuple[Tensor, Tensor]:
    points = _walk(_uniform(0.15, 0.3, draw), 9, 1.2, draw)
    alpha = _edge(_along(y, x, points), _uniform(0.003, 0.005, draw))
    return alpha, _contrast(image, alpha, 0.3, 0.6, draw)


def _spot(y: Tensor, x: Tensor, image: Tensor, draw: Rng) -> tuple[Tensor, Tensor]:
    stretch = _uniform(0.7, 1.4, draw)
    alpha = _edge(torch.hypot(y * stretch, x / stretch), _uniform(0.015, 0.035, draw))
    return alpha, _contrast(image, alpha, 0.3, 0.6, draw)


def _stain(y: Tensor, x: Tensor, image: Tensor, draw: Rng) -> tuple[Tensor, Tensor]:
    alpha = 0.8 * _edge(torch.hypot(y, x), _uniform(0.05, 0.09, draw), 0.012)
    tint = torch.rand((3, 1, 1), generator=draw) * 0.3
    return alpha, (_contrast(image, alpha, 0.25, 0.4, draw) + tint - tint.mean()).clamp(0, 1)


def _chip(y: Tensor, x: Tensor, image: Tensor, draw: Rng) -> tuple[Tensor, Tensor]:
    angle, distance = torch.atan2(y, x), torch.hypot(y, x)
    reach = torch.full_like(y, _uniform(0.02, 0.035, draw))
    for wave in (1, 2, 3):
        reach += _uniform(0.002, 0.01, draw) * torch.cos(wave * angle + _uniform(0, 2 * math.pi, draw))
    alpha = torch.sigmoid((reach - distance) / 0.002)
    return alpha, _contrast(image, alpha, 0.35, 0.7, draw)


KINDS: dict[str, Callable[[Tensor, Tensor, Tensor, Rng], tuple[Tensor, Tensor]]] = {
    "scratch": _scratch,
    "crack": _crack,
    "spot": _spot,
    "stain": _stain,
    "chip": _chip,
}
"""Draws each kind of defect from coordinates relative to its middle: alpha (S, S) and colour."""
