"""The gate: decides which candidates stay in a pool, and why others are rejected.

Every cut-off comes from the references and their augmentations; the gate never needs a defect.

    broken     black or not finite; or flat, clipped or with the seams of a grid, far beyond what augmentations show
    copy       nearer to a reference than any of its augmentations
    duplicate  nearer to an earlier image of the pool than half the least distance of two augmentations of one reference
    fragment   part of the object is cut or mirrored at the border, but the nearest reference has background there
    stray      farther from all references than left-out references and their augmentations are from the others
    defect     a spot stands out from the rest of the image more than in augmented and left-out references

Strays and defects show in patches of the default features, or of others; copies and duplicates in a coarse layout of
`CnnFeatures`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize

from normalgen.features.contract import Features
from normalgen.features.embedded_cnn import CnnFeatures
from normalgen.features.memory_bank import MemoryBank
from normalgen.images.augment import augment_each
from normalgen.images.turning import BORDER, Turnable, object_of
from normalgen.io.progress import Watch, silent
from normalgen.io.rng import generator
from normalgen.quality.measures import seam, sharpness
from normalgen.settings.presets import Augment

__all__ = ["REASONS", "Gate", "Verdict"]

REASONS = ("broken", "copy", "duplicate", "fragment", "stray", "defect")
KEEP, MARGIN, LONE = 0.95, 1.25, 0.65
"""The share of normal images that `defect` keeps; the farthest left-out reference, times this, is the limit of `stray`;
with one reference the limit is this share of the way from its augmentations to the distance 1."""
CELL, COARSE = 8, 8
CALIBRATIONS, BANKED, FRESH = 96, 16, 48
ROWS = 256
"""Layouts compared at a time."""


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict on one image.

    Attributes:
        reason: "" if it is kept, else one of `REASONS`.
        numbers: the measured values, rounded; `Gate.limits` has the cut-offs.
        nearest_reference: index of the most similar reference.
        nearest_pool: index of the most similar kept image, in the order they were kept; None for the first.
    """

    reason: str
    numbers: dict[str, float]
    nearest_reference: int
    nearest_pool: int | None

    @property
    def kept(self) -> bool:
        """Whether it stays in the pool."""
        return not self.reason


@dataclass(frozen=True)
class _Look:
    """Measurements of one image: a coarse layout (L,), and plain numbers."""

    layout: Tensor
    plain: dict[str, float]


@dataclass(frozen=True)
class _Family:
    """Augmentations of a reference, and patches (P, C) of the reference and of the first of them."""

    looks: list[_Look]
    patches: list[Tensor]


class _Layouts:
    """Layouts (L,) in a buffer that doubles when it is full."""

    def __init__(self) -> None:
        self.buffer = torch.empty(0)
        self.count = 0

    def __len__(self) -> int:
        return self.count

    @property
    def rows(self) -> Tensor:
        """All layouts, (N, L)."""
        return self.buffer[: self.count]

    def append(self, layout: Tensor) -> None:
        """Add a layout."""
        if self.count == len(self.buffer):
            room = layout.new_empty(max(64, self.count), len(layout))
            self.buffer = torch.cat([self.rows, room]) if self.count else room
        self.buffer[self.count] = layout
        self.count += 1

    def clear(self) -> None:
        """Forget them."""
        self.count = 0


class Gate:
    """Judges candidates one by one, and remembers the kept ones.

    The same references, augmentation and seed give the same gate. Each image is judged alone, as 8-bit pixels, so its
    verdict depends only on the references and the images kept before it.

    Args:
        references: the photos, ready to be turned; the first eight give the cut-offs and the bank.
        kind: which augmentations a reference may get; for "none", cut-offs come from `safe` ones.
        features: for strays and defects.
        seed: draws the augmentations.
        watch: receives the progress of "gate", per reference.
    """

    def __init__(
        self, references: Sequence[Turnable], kind: Augment, features: Features, *, seed: int, watch: Watch = silent
    ) -> None:
        self.features, self.cnn = features, CnnFeatures()
        self.is_alone = [photo.is_alone for photo in references]
        used = references[: BANKED // 2]
        self.layouts = torch.stack([self._layout(photo.photo.float() / 255) for photo in references])
        share, views = BANKED // len(used), max(4, -(-CALIBRATIONS // len(used)))
        families = []
        for index, photo in enumerate(used):
            watch("gate", index, len(used))
            draws = [generator("gate", seed, index, i) for i in range(views)]
            augmented = augment_each([photo] * views, "safe" if kind == "none" else kind, draws)
            families.append(self._family(photo, augmented, share + FRESH // len(used)))
        self.bank = _bank(families, share)
        self.limits = self._calibrate(families, share)
        watch("gate", len(used), len(used))
        self.kept = _Layouts()

    def unknown(self) -> list[str]:
        """Return what so few references cannot decide, as sentences for people."""
        match len(self.is_alone):
            case 1:
                return ["one reference cannot tell another good part from a stray: the stray limit is a guess"]
            case 2 | 3 as k:
                return [f"{k} references show {k * (k - 1)} differences between good parts: the stray limit is a guess"]
        return []

    def judge(self, image: Tensor) -> Verdict:
        """Return the verdict on `image` (3, S, S) in [0, 1]; if it is kept, later verdicts depend on it.

        An image that is not finite counts as black, because its numbers would not be finite.
        """
        image = image if image.isfinite().all() else torch.zeros_like(image)
        image = (image.clamp(0, 1) * 255).round() / 255
        look = self._look(image)
        numbers = look.plain | _spots(_patches(self.features, image), self.bank)
        numbers["copy"], nearest_reference = _nearest(look.layout, self.layouts)
        numbers["fragment"] *= self.is_alone[nearest_reference]
        nearest_pool = None
        if self.kept:
            numbers["duplicate"], nearest_pool = _nearest(look.layout, self.kept.rows)
        reasons = (reason for reason in REASONS if self._is(reason, numbers))
        verdict = Verdict(
            reason=next(reasons, "") if image.any() else "broken",
            numbers={name: round(value, 4) for name, value in numbers.items()},
            nearest_reference=nearest_reference,
            nearest_pool=nearest_pool,
        )
        if verdict.kept:
            self.kept.append(look.layout)
        return verdict

    def remember(self, image: Tensor) -> None:
        """Add an image (3, S, S) in [0, 1] that an earlier run kept."""
        self.kept.append(self._layout(image))

    def settings(self) -> dict[str, Any]:
        """Return the cut-offs, and what they cannot decide, as plain data."""
        return {"limits": {name: round(value, 4) for name, value in self.limits.items()}, "unknown": self.unknown()}

    def _is(self, reason: str, numbers: dict[str, float]) -> bool:
        if reason == "broken":
            low = numbers["sharpness"] < self.limits["sharpness"]
            return low or any(numbers[name] > self.limits[name] for name in ("clipped", "seam"))
        if reason in ("copy", "duplicate"):
            return numbers.get(reason, float("inf")) < self.limits[reason]
        return numbers[reason] > self.limits[reason]

    def _look(self, image: Tensor) -> _Look:
        clipped = ((image < 0.5 / 255) | (image > 254.5 / 255)).float().mean()
        plain = {
            "sharpness": float(sharpness(image[None])),
            "clipped": float(clipped),
            "seam": float(seam(image[None])),
            "fragment": object_of((image * 255).round().to(torch.uint8)).at_border,
        }
        return _Look(self._layout(image), plain)

    def _layout(self, image: Tensor) -> Tensor:
        patches = self.cnn.patches(image[None], min(4 * COARSE, image.shape[-1] // CELL))
        return adaptive_avg_pool2d(patches[0].permute(2, 0, 1), COARSE).flatten().half()

    def _family(self, reference: Turnable, augmented: Tensor, seen: int) -> _Family:
        images = (augmented * 255).round() / 255
        patches = [_patches(self.features, image) for image in (reference.photo.float() / 255, *images[: seen - 1])]
        return _Family([self._look(image) for image in images], patches)

    def _calibrate(self, families: list[_Family], share: int) -> dict[str, float]:
        fresh = [look for family in families for look in family.looks[share - 1 :]]
        plain = {name: torch.tensor([look.plain[name] for look in fresh]) for name in ("sharpness", "clipped", "seam")}
        known = [_spots(patches, self.bank) for family in families for patches in family.patches[share:]]
        pairs = [_apart(a.layout, b.layout) for f in families for i, a in enumerate(f.looks) for b in f.looks[:i]]
        copies = [_apart(look.layout, self.layouts[i]) for i, family in enumerate(families) for look in family.looks]
        borders = [family.looks for family, is_alone in zip(families, self.is_alone, strict=False) if is_alone]
        left_out = _left_out(families, share)
        return {
            "sharpness": 0.5 * float(plain["sharpness"].min()),
            "clipped": _beyond(plain["clipped"]) + 0.01,
            "seam": _beyond(plain["seam"]) + 0.05,
            "copy": min(copies),
            "duplicate": min(pairs) / 2,
            "fragment": BORDER + max([look.plain["fragment"] for looks in borders for look in looks], default=0.0),
            "stray": MARGIN * _farthest(left_out) if left_out else 1 - (1 - LONE) * (1 - _farthest(known)),
            "defect": max(_keeping(spots, "defect") for spots in (known, left_out) if spots),
        }


def _bank(families: Sequence[_Family], share: int) -> MemoryBank:
    """Return a bank of `share` images of each family."""
    return MemoryBank(torch.stack([patches for family in families for patches in family.patches[:share]]))


def _left_out(families: list[_Family], share: int) -> list[dict[str, float]]:
    """Return the spots of each reference and three augmentations of it, against a bank of the others; none of one."""
    if len(families) == 1:
        return []
    banks = [_bank(families[:i] + families[i + 1 :], share) for i in range(len(families))]
    pairs = zip(families, banks, strict=True)
    return [_spots(patches, bank) for family, bank in pairs for patches in family.patches[:4]]


def _spots(patches: Tensor, bank: MemoryBank) -> dict[str, float]:
    distances = bank.distances(patches)
    mean = float(distances.mean())
    return {"stray": mean, "defect": float(distances.max()) / max(mean, 1e-6)}


def _patches(features: Features, image: Tensor) -> Tensor:
    """Return one vector per patch (P, C), on the grid of the first level: levels of unit length, joined.

    Each level is scaled by the root of its share, so that squared distances are means over levels of 2 (1 - cosine).
    """
    levels = features.tokens(image[None])
    grid = min(levels[0].shape[1], image.shape[-1] // CELL)
    pooled = [normalize(adaptive_avg_pool2d(level[0].permute(2, 0, 1), grid), dim=0) for level in levels]
    joined = torch.cat([share**0.5 * level for share, level in zip(features.shares, pooled, strict=True)])
    return joined.flatten(1).T.contiguous()


def _apart(first: Tensor, second: Tensor) -> float:
    """Return the distance of two layouts, root mean square over patches."""
    return float((first.float() - second.float()).square().sum().div(COARSE**2).sqrt())


def _nearest(layout: Tensor, others: Tensor) -> tuple[float, int]:
    """Return the distance to the nearest of layouts (N, L), and its index."""
    parts = [(layout.float() - rows.float()).square().sum(1) for rows in torch.split(others, ROWS)]
    apart = torch.cat(parts).div(COARSE**2).sqrt()
    index = int(apart.argmin())
    return float(apart[index]), index


def _keeping(normal: list[dict[str, float]], name: str) -> float:
    """Return the cut-off that keeps the share KEEP of normal images."""
    return float(torch.tensor([spots[name] for spots in normal]).quantile(KEEP))


def _farthest(normal: list[dict[str, float]]) -> float:
    return max(spots["stray"] for spots in normal)


def _beyond(values: Tensor) -> float:
    """Return the largest value plus the range of the values."""
    return float(2 * values.max() - values.min())
