"""Fills a region of a photo from another photo: from where the surroundings are most alike.

As in exemplar-based inpainting (Criminisi et al. 2004), but the whole region comes from one place, so that nothing is
joined inside it; its edge is made to agree with the photo (Perez et al. 2003, Poisson image editing).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

__all__ = ["Filled", "filled"]

RING = 1 / 16
"""Width of the surroundings that are compared, per width of the photo: a patch of the screening's grid."""
NEAREST, SMALL, OWN = 16, 16, 0.25
"""Only so many donors count, those most like the photo as pictures of so many pixels: tablets of another colour in the
same tray do not. A place in the photo itself counts as so much nearer."""
LEAST = 1e-4
"""Least contrast that a difference is divided by: a flat background has none."""
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Filled:
    """A photo (3, S, S) in [0, 1] with a filled region, and the indices of the donors that filled it."""

    image: Tensor
    donors: tuple[int, ...]


def filled(photo: Tensor, mask: Tensor, donors: Tensor) -> Filled:
    """Return the photo, each region of the mask filled from the photo whose surroundings are most alike.

    Args:
        photo: (3, S, S) in [0, 1].
        mask: what to fill, bool (S, S).
        donors: (m, 3, S, S) in [0, 1]; regions may also come from elsewhere in the photo itself.
    """
    whole, image, used = mask.numpy(), photo.clone(), set[int]()
    alike = _alike(photo, mask, donors)
    regions, count = label(whole, np.ones((3, 3)))
    for number in range(1, count + 1):
        region = regions == number
        donor, source = _source(photo, region, whole, donors[alike])
        inside = torch.from_numpy(region)
        image = torch.where(inside, (source + _membrane(photo - source, region)).clamp(0, 1), image)
        used |= {*alike[donor : donor + 1]}
    return Filled(image, tuple(sorted(used)))


def _alike(photo: Tensor, mask: Tensor, donors: Tensor) -> list[int]:
    """Return the indices of the donors that are most like the photo outside the mask, in small."""
    shares = adaptive_avg_pool2d((~mask).float()[None], SMALL)
    apart = (adaptive_avg_pool2d(donors, SMALL) - adaptive_avg_pool2d(photo, SMALL)).square() * shares
    order: list[int] = apart.sum((1, 2, 3)).argsort(stable=True)[:NEAREST].tolist()
    return order


def _source(photo: Tensor, region: Mask, whole: Mask, donors: Tensor) -> tuple[int, Tensor]:
    """Return the index of the photo (m: the photo itself) with the most similar ring, and that photo, moved."""
    ring = binary_dilation(region, iterations=round(RING * photo.shape[-1])) & ~whole
    needed = region | ring
    steps, weights = _steps(needed), torch.from_numpy(ring).float()
    damaged = _correlated(torch.from_numpy(whole).float(), torch.from_numpy(needed).float()) > 0.5
    own = (OWN * _costs(photo, photo, weights)).masked_fill(damaged, torch.inf)
    costs = torch.stack([*(_costs(photo, donor, weights) for donor in donors), own])[:, steps[:, 0], steps[:, 1]]
    donor, step = divmod(int(costs.argmin()), len(steps))
    down, right = steps[step].tolist()
    return donor, (photo if donor == len(donors) else donors[donor]).roll((-down, -right), (1, 2))


def _costs(photo: Tensor, donor: Tensor, ring: Tensor) -> Tensor:
    """Return how unlike the photo the donor is on the ring, for each move of the donor (S, S).

    The mean square difference, per contrast of both: else the place with the least contrast would be most like any
    texture. A difference that is the same on the whole ring does not count, as of brightness.
    """
    pixels = ring.sum().clamp(min=1)
    own, square = ((values * ring).sum((1, 2), keepdim=True) / pixels for values in (photo, photo.square()))
    means, squares, products = (
        _correlated(values, weights) / pixels
        for values, weights in ((donor, ring), (donor.square(), ring), (donor, photo * ring))
    )
    spread, others = (square - own.square()).sum(0), (squares - means.square()).sum(0).clamp(min=0)
    apart = spread + others - 2 * (products - own * means).sum(0)
    return apart / (spread * others).sqrt().clamp(min=LEAST)


def _correlated(image: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of `image` times `weights` (..., S, S) for each move of the image, up and to the left."""
    sums: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * torch.fft.rfft2(weights).conj(), image.shape[-2:])
    return sums


def _steps(needed: Mask) -> Tensor:
    """Return all moves (n, 2), down and right, after which what is needed lies inside the photo."""
    rows, columns = (np.flatnonzero(needed.any(axis)) for axis in (1, 0))
    down = torch.arange(-rows[0], len(needed) - rows[-1])
    right = torch.arange(-columns[0], len(needed) - columns[-1])
    return torch.cartesian_prod(down, right)


def _membrane(difference: Tensor, region: Mask) -> Tensor:
    """Return the difference (3, S, S), smoothly continued into the region: there its Laplacian is 0."""
    count = int(region.sum())
    numbers = np.full(region.shape, -1)
    numbers[region] = np.arange(count)
    rows, columns = np.nonzero(region)
    values = difference.numpy().astype(np.float64)
    known, entries = np.zeros((count, 3)), [(np.arange(count), np.arange(count), np.zeros(count))]
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        y, x = rows + down, columns + right
        there = (y >= 0) & (y < region.shape[0]) & (x >= 0) & (x < region.shape[1])
        y, x = y.clip(0, region.shape[0] - 1), x.clip(0, region.shape[1] - 1)
        entries[0][2][there] += 1
        inner, outer = there & (numbers[y, x] >= 0), there & (numbers[y, x] < 0)
        entries.append((np.arange(count)[inner], numbers[y, x][inner], -np.ones(int(inner.sum()))))
        known[outer] += values[:, y[outer], x[outer]].T
    i, j, weights = (np.concatenate(part) for part in zip(*entries, strict=True))
    solved = spsolve(coo_matrix((weights, (i, j)), (count, count)).tocsc(), known)
    smooth = torch.zeros_like(difference)
    smooth[:, torch.from_numpy(region)] = torch.from_numpy(solved.T).float()
    return smooth
