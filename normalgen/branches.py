"""The three comparisons of a batch: which networks look, and what each branch makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from normalgen.features import Features
from normalgen.personalize import Personalizer
from normalgen.text import TextMaps
from normalgen.triplet import Banks, Levels, twin_maps, unit

__all__ = ["Branches", "joined"]


@dataclass
class Branches:
    """What looks at images; a branch whose part is None is left out.

    Attributes:
        network: the features.
        personalizer: makes twins (branch p).
        text: maps from patches to text, and the vectors of the normal and anomalous sentences (branch text).
        bank: whether the branch n is wanted.
        batch: images at a time.
    """

    network: Features
    personalizer: Personalizer | None
    text: tuple[TextMaps, Tensor] | None
    bank: bool
    batch: int

    def tokens(self, images: Tensor) -> Levels:
        """Unit patch vectors of images (N, 3, S, S), uint8 or in [0, 1], of each level."""
        parts = [part.float() / (255 if images.dtype == torch.uint8 else 1) for part in torch.split(images, self.batch)]
        return joined([unit(self.network.tokens(part)) for part in parts])

    def compare(
        self, images: Tensor, keys: Sequence[str], banks: Banks | None
    ) -> tuple[Tensor | None, dict[str, Levels]]:
        """The twins (N, 3, S, S), and each branch's raw maps, of images (N, 3, S, S) in [0, 1] named by `keys`."""
        tokens, twins = self.tokens(images), None
        found: dict[str, Levels] = {}
        if self.personalizer is not None:
            twins = self._twins(self.personalizer, images, keys)
            found["p"] = twin_maps(tokens, self.tokens(twins))
        if self.bank and banks is not None:
            found["n"] = banks.maps(tokens)
        if self.text is not None:
            maps, vectors = self.text
            parts = [maps.scores(self.network.tokens(part), vectors) for part in torch.split(images, self.batch)]
            found["text"] = joined(parts)
        return twins, found

    def _twins(self, personalizer: Personalizer, images: Tensor, keys: Sequence[str]) -> Tensor:
        starts = range(0, len(images), self.batch)
        parts = [(images[start : start + self.batch], keys[start : start + self.batch]) for start in starts]
        return torch.cat([personalizer.of(*part).twins for part in parts])


def joined(parts: Sequence[Levels]) -> Levels:
    """Batches one after the other, level by level."""
    return [torch.cat(level) for level in zip(*parts, strict=True)]
