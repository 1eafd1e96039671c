"""Repairs photos in which the screening found a small unusual region, and screens them again.

The region is filled from where its surroundings are most alike, in the photo itself or in another normal photo, and
the customized model restores what it was filled with. A photo that still stands out is not repaired.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from normalgen.diffusion.model import NormalModel
from normalgen.features.contract import Features
from normalgen.features.patches import joined_patches
from normalgen.quality.exemplar import filled
from normalgen.quality.screen import score_against
from normalgen.quality.stream import PANEL, against
from normalgen.settings.prompts import INSTANCE_PROMPT

__all__ = ["DONORS", "Repair", "Repairing", "pixel_mask"]

DONORS = PANEL
"""Most photos, beyond the references, that a repair is compared with and filled from."""


@dataclass(frozen=True)
class Repair:
    """A repaired photo (3, S, S) in [0, 1], the share of it that was repaired, and its new score, at most 1."""

    image: Tensor
    share: float
    score: float


class Repairing:
    """Repairs photos from references and from photos that a screening kept.

    Args:
        model: customized on the references.
        references: uint8 (k, 3, S, S), S the model's size.
        kept: uint8 (m, 3, S, S); the first `DONORS` count.
        features: what the screening looked with.
        limits: the cut-offs of the screening.
        seed: decides the model's noise.
    """

    def __init__(
        self,
        model: NormalModel,
        references: Tensor,
        kept: Tensor,
        features: Features,
        limits: dict[str, float],
        seed: int,
    ) -> None:
        self.model, self.features, self.limits, self.seed = model, features, limits, seed
        self.donors = torch.cat([references, kept[:DONORS]]).float() / 255
        vectors = torch.cat([self._vectors(image)[None] for image in self.donors])
        self.references, self.panel = vectors[: len(references)], vectors[len(references) :]

    def repair(self, photo: Tensor, mask: Tensor, key: str) -> Repair | None:
        """Return the repaired photo; None if it still stands out.

        It is judged without the photos that it was filled from.

        Args:
            photo: uint8 (3, S, S).
            mask: its unusual patches, bool (P,).
            key: with the seed decides the noise.
        """
        before, inside = photo.float() / 255, pixel_mask(mask, photo.shape[-1])
        found = filled(before, inside, self.donors)
        image = self._restored(found.image, inside, key)
        streams = against(self._vectors(image), self.references, self.panel, found.donors)
        score = score_against(streams, self.limits)
        return Repair(image, round(float(inside.float().mean()), 4), round(score, 4)) if score <= 1 else None

    def _restored(self, image: Tensor, mask: Tensor, key: str) -> Tensor:
        strength, prompts = self.model.preset.pool.strength, [INSTANCE_PROMPT]
        drawn = self.model.repair(
            image[None], mask[None], prompts=prompts, strength=strength, seed=self.seed, indices=[key]
        )
        return (drawn[0] * 255).round() / 255

    def _vectors(self, image: Tensor) -> Tensor:
        return joined_patches(self.features, image[None]).flatten(1, 2)[0]


def pixel_mask(mask: Tensor, size: int) -> Tensor:
    """Return the mask of patches, bool (P,) of a square grid, as pixels (size, size)."""
    side = round(len(mask) ** 0.5)
    return interpolate(mask.view(1, 1, side, side).float(), (size, size))[0, 0] > 0
