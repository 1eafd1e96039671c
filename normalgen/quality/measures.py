"""Measures how similar a set of images is to real normal images: sharpness, spectrum, seams and network patches.

All images are (N, 3, S, S) in [0, 1], of one size; all patches are (N, grid, grid, C) of `CnnFeatures.patches`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.features.memory_bank import MemoryBank

__all__ = [
    "Coverage",
    "Measures",
    "coverage",
    "measure",
    "patch_distance",
    "seam",
    "sharpness",
    "spectrum",
]

GRID = 16


def _steps(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return absolute differences of brightness between neighbours, down (N, S - 1, S) and right (N, S, S - 1)."""
    grey = images.mean(1)
    return grey.diff(dim=1).abs(), grey.diff(dim=2).abs()


def sharpness(images: Tensor) -> Tensor:
    """Return the mean absolute gradient of brightness (N,), in brightness per pixel."""
    down, right = _steps(images)
    return (down.flatten(1).mean(1) + right.flatten(1).mean(1)) / 2


def seam(images: Tensor, period: int = 8) -> Tensor:
    """Return the mean gradient across the borders of a grid of `period` pixels over the mean elsewhere (N,)."""
    ratios = []
    for steps in (_steps(images)[0], _steps(images)[1].transpose(1, 2)):
        border = torch.arange(steps.shape[1]) % period == period - 1
        ratios.append(steps[:, border].flatten(1).mean(1) / steps[:, ~border].flatten(1).mean(1).clamp(min=1e-8))
    return (ratios[0] + ratios[1]) / 2


def spectrum(images: Tensor) -> Tensor:
    """Return the power of brightness per octave of frequency (N, octaves): 1-2, 2-4, ... cycles per image, up to S / 2.

    A Hann window suppresses the image's borders; the mean is left out.
    """
    size = images.shape[-1]
    grey = images.mean(1)
    window = torch.hann_window(size, periodic=False)
    waves = torch.fft.rfft2((grey - grey.mean((1, 2), keepdim=True)) * window[:, None] * window)
    cycles = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)) * size
    octaves = int(math.log2(size // 2))
    octave = cycles.clamp(min=1e-9).log2().floor()
    power = waves.abs().square()
    return torch.stack([power[:, octave == i].mean(1) for i in range(octaves)], 1)


def patch_distance(images: Tensor, held_out: Tensor) -> float:
    """Return the mean distance of patches to the nearest patch of held-out normal images."""
    return float(MemoryBank(held_out).distances(images).mean())


@dataclass(frozen=True)
class Coverage:
    """What extra images add to a bank.

    Attributes:
        nearer: share of held-out normal patches that are nearer to references + extra than to references alone.
        closed: share by which their mean distance to the bank falls.
    """

    nearer: float
    closed: float


def coverage(held_out: Tensor, references: Tensor, extra: Tensor) -> Coverage:
    """Return how much nearer held-out normal patches come to a bank of `references` when `extra` joins it.

    Differs: `nearer` alone cannot tell a small gain from a large one, so `closed` is given as well.
    """
    alone = MemoryBank(references).distances(held_out)
    joined = torch.minimum(alone, MemoryBank(extra).distances(held_out))
    return Coverage(float((joined < alone).float().mean()), float(1 - joined.mean() / alone.mean()))


@dataclass(frozen=True)
class Measures:
    """Measures of one set of images, compared with real normal images.

    Attributes:
        images: number of images measured; compare only sets with the same number.
        sharpness: mean gradient, as a ratio to real.
        octaves: power in each octave of frequency, lowest first, as a ratio to real.
        seam: gradient on the borders of an 8-px grid over the gradient elsewhere, as a ratio to real.
        patch_distance: mean distance of patches to the nearest held-out normal patch; None if nothing was held out.
        nearer, closed: see `Coverage`; None if nothing was held out.
        reasons: why a measure is None, by its name.
        copy_distance: least distance of an image to a reference or to another augmented reference: mean over patches at
            the same position; 0 is a copy.
    """

    images: int
    sharpness: float | None
    octaves: tuple[float | None, ...]
    seam: float | None
    patch_distance: float | None
    nearer: float | None
    closed: float | None
    copy_distance: float | None
    reasons: dict[str, str] = field(default_factory=dict)


def measure(
    sets: Mapping[str, Tensor],
    augmented: Tensor,
    references: Tensor,
    held_out: Tensor | None,
    features: CnnFeatures,
    grid: int = GRID,
) -> dict[str, Measures]:
    """Return the measures of plain augmentation ("augmented", first) and of each of `sets`, at equal numbers of images.

    Args:
        sets: images (N, 3, S, S) in [0, 1] by name.
        augmented: (N, 3, S, S), augmented references.
        references: (k, 3, S, S), the bank that each set joins.
        held_out: (M, 3, S, S), unused real normal images; None if there are none: ratios to real then use the
            references.
        features: compute the patches.
        grid: patches per side.
    """
    count = min(len(images) for images in (augmented, *sets.values()))
    equal = {"augmented": augmented[:count]} | {name: images[:count] for name, images in sets.items()}
    bank, plain = features.patches(references, grid), features.patches(equal["augmented"], grid)
    unused = None if held_out is None else features.patches(held_out, grid)
    real = references if held_out is None else held_out
    results = {}
    for name, images in equal.items():
        seen = plain if name == "augmented" else features.patches(images, grid)
        gain = None if unused is None else coverage(unused, bank, seen)
        octaves = spectrum(images).mean(0) / spectrum(real).mean(0)
        taken = {
            "sharpness": float(sharpness(images).mean() / sharpness(real).mean()),
            "seam": float(seam(images).mean() / seam(real).mean()),
            "patch_distance": None if unused is None else patch_distance(seen, unused),
            "nearer": gain.nearer if gain else None,
            "closed": gain.closed if gain else None,
            "copy_distance": _likest(seen, torch.cat([bank, plain]), len(bank) if name == "augmented" else None),
        }
        ratios = tuple(_finite(round(float(ratio), 3)) for ratio in octaves)
        reasons = {key: _reason(value) for key, value in taken.items() if _finite(value) is None}
        if None in ratios:
            reasons["octaves"] = _reason(math.inf)
        finite = {key: _finite(value) for key, value in taken.items()}
        results[name] = Measures(images=count, octaves=ratios, reasons=reasons, **finite)
    return results


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _reason(value: float | None) -> str:
    if value is None:
        return "there are too few normal photos that the pool never saw"
    return "the images that it is compared with are flat, or there is only one"


def _likest(images: Tensor, others: Tensor, itself: int | None) -> float:
    """Return the least distance of any image to any other, over patches at the same position.

    If `itself` is given, image i is others[itself + i], which is skipped.
    """
    least = math.inf
    for index, image in enumerate(images):
        apart = (others - image).norm(dim=-1).mean((1, 2))
        if itself is not None:
            apart[itself + index] = math.inf
        least = min(least, float(apart.amin()))
    return least
