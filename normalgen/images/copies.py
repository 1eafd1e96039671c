"""Finds copies of a photo by its pixels: the same exposure, saved again, resized or slightly cropped.

Two photos of different parts in the same fixture agree in outline and light, but not in the fine structure of every
textured region. So a candidate is aligned first, and each region of it must then agree.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate

__all__ = ["COMPARED", "Copies", "reduced"]

COMPARED = 256
"""Width and height, in pixels, at which photos are read to be compared."""
SIDE, COARSE, CANDIDATES, LIKENESS = 128, 16, 8, 0.6
STEPS, SIZES = 4, (32, 64, 128)
BLOCK, TEXTURE, LEAST_BLOCKS = 16, 1.0, 6
AGREEMENT, SHARE, RESIDUAL = 0.7, 0.9, 0.06
"""A region agrees if its fine structure correlates by `AGREEMENT`; of a copy, at least the share `SHARE` does."""


class Copies:
    """Known photos, to find copies of them.

    Args:
        known: the known photos, `reduced`.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        self.known: list[Tensor] = []
        self.coarse: list[Tensor] = []
        for photo in known:
            self.add(photo)

    def add(self, photo: Tensor) -> None:
        """Make a `reduced` photo known."""
        self.known.append(photo)
        self.coarse.append(_coarse(photo[None])[0])

    def find(self, photo: Tensor) -> int | None:
        """Return the index of the known photo that a `reduced` one is a copy of; None if there is none."""
        if not self.known:
            return None
        likeness = torch.stack(self.coarse) @ _coarse(photo[None])[0]
        for index in likeness.argsort(descending=True)[:CANDIDATES].tolist():
            if likeness[index] >= LIKENESS and agreement(self.known[index], photo) >= SHARE:
                return int(index)
        return None


def reduced(image: Tensor) -> Tensor:
    """Return an image, uint8 (3, S, S), as `Copies` compares it: grey, (128, 128)."""
    grey = image.float().mean(0, keepdim=True)[None]
    return interpolate(grey, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)[0, 0]


def agreement(first: Tensor, second: Tensor) -> float:
    """Return the share of the textured regions of `first`, grey (S, S), that agree with `second` after alignment.

    Where too few regions have a texture, nothing is known, and it is 0.
    """
    theta = _aligned(first, second)
    moved, inside = _moved(second, theta)
    return _agreeing(first, moved, inside) if _residual(first, moved, inside) <= RESIDUAL else 0.0


def _residual(first: Tensor, second: Tensor, inside: Tensor) -> float:
    """Return the deviation of `first` from `second` where it is inside, brightness fitted, per deviation of `first`."""
    own, other = (image[inside] - image[inside].mean() for image in (first, second))
    gain = (own * other).sum() / other.pow(2).sum().clamp(min=1e-6)
    return float((own - gain * other).pow(2).mean().sqrt() / own.pow(2).mean().sqrt().clamp(min=1e-6))


def _coarse(images: Tensor) -> Tensor:
    small = avg_pool2d(images[:, None], SIDE // COARSE).flatten(1)
    centred = small - small.mean(1, keepdim=True)
    length: Tensor = centred.pow(2).sum(1, keepdim=True).sqrt()
    return centred / length.clamp(min=1e-6)


def _aligned(first: Tensor, second: Tensor) -> Tensor:
    """Return scale and shift (2, 3) that bring `second` onto `first`, by Gauss-Newton from coarse to fine."""
    values = torch.tensor([1.0, 1.0, 0.0, 0.0])
    for size in SIZES:
        pair = interpolate(torch.stack([first, second])[:, None], (size, size), mode="area")[:, 0]
        for _ in range(STEPS):
            values = values + _step(pair[0], pair[1], values)
            values = torch.cat([values[:2].clamp(0.75, 1.33), values[2:].clamp(-0.3, 0.3)])
    return _theta(values)


def _theta(values: Tensor) -> Tensor:
    zero = torch.zeros(())
    return torch.stack([torch.stack([values[0], zero, values[2]]), torch.stack([zero, values[1], values[3]])])


def _step(first: Tensor, second: Tensor, values: Tensor) -> Tensor:
    """Return the Gauss-Newton change of scale and shift; brightness and contrast are fitted alongside."""
    moved, inside = _moved(second, _theta(values))
    size = first.shape[0]
    down, across = torch.gradient(moved, spacing=2 / size)
    line = (torch.arange(size) + 0.5) * 2 / size - 1
    x, y = line[None].expand(size, size), line[:, None].expand(size, size)
    columns = torch.stack([across * x, down * y, across, down, moved, torch.ones_like(moved)], -1)[inside]
    if len(columns) < 64:
        return torch.zeros(4)
    target = (first - moved)[inside]
    normal = columns.T @ columns
    change: Tensor = torch.linalg.lstsq(normal + 1e-4 * torch.diag(normal.diagonal() + 1e-6), columns.T @ target)[0]
    # d moved / d values = gradient at the moved position, whose scale is that of the values themselves.
    return change[:4] * torch.tensor([values[0], values[1], values[0], values[1]])


def _moved(image: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    grid = affine_grid(theta[None], [1, 1, *image.shape], align_corners=False)
    moved = grid_sample(image[None, None], grid, padding_mode="border", align_corners=False, mode="bicubic")[0, 0]
    return moved, (grid[0].abs() < 1).all(-1)


def _agreeing(first: Tensor, second: Tensor, inside: Tensor) -> float:
    fine = [image - avg_pool2d(image[None, None], 9, 1, 4, count_include_pad=False)[0, 0] for image in (first, second)]
    blocks = [image.unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK).flatten(2).flatten(0, 1) for image in fine]
    whole = inside.unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK).flatten(2).flatten(0, 1).all(1)
    centred = [block - block.mean(1, keepdim=True) for block in blocks]
    deviation = [block.pow(2).mean(1).sqrt() for block in centred]
    textured = whole & (torch.maximum(*deviation) > TEXTURE)
    if textured.sum() < LEAST_BLOCKS:
        return 0.0
    product = (centred[0] * centred[1]).mean(1) / (deviation[0] * deviation[1]).clamp(min=1e-6)
    return float((product[textured] > AGREEMENT).float().mean())
