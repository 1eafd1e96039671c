"""Computes the raw maps of the three branches for a batch of images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from normalgen.detectors.one_to_normal.text_branch import TextMaps
from normalgen.detectors.one_to_normal.triplet import Choice, Levels, twin_maps, unit
from normalgen.detectors.one_to_normal.twins import Personalizer, Twins
from normalgen.features.contract import Features

__all__ = ["Branches", "joined"]


class Bank(Protocol):
    """A bank of normal patches."""

    def maps(self, queries: Levels) -> Levels:
        """Return the distance of each patch to the nearest normal one, (N, h, w) per level."""


@dataclass
class Branches:
    """The parts that compute the branches' maps; a part that is None leaves its branch out.

    Attributes:
        network: the features.
        personalizer: makes twins (branch p).
        text: text maps, and the vectors of the normal and anomalous sentences (branch text).
        bank: whether to compute branch n.
        batch: images per batch.
        choice: what branch p compares with: the candidate most like its query ("ssim"), or all candidates, with the
            mean ("mean") or the minimum ("min_map") of their distances at each position.
    """

    network: Features
    personalizer: Personalizer | None
    text: tuple[TextMaps, Tensor] | None
    bank: bool
    batch: int
    choice: Choice = "ssim"

    @property
    def names(self) -> list[str]:
        """The branches whose maps it computes."""
        parts = {"p": self.personalizer, "n": self.bank or None, "text": self.text}
        return [name for name, part in parts.items() if part is not None]

    def tokens(self, images: Tensor) -> Levels:
        """Return unit patch vectors per level, on the images' device, of images (N, 3, S, S), uint8 or in [0, 1]."""
        return _together([unit(part) for part in self._raw(images)], images)

    def compare(
        self, images: Tensor, keys: Sequence[str], bank: Bank | None
    ) -> tuple[Tensor | None, dict[str, Levels]]:
        """Return twins (N, 3, S, S) and each branch's raw maps, for images (N, 3, S, S) in [0, 1] named by `keys`.

        The network sees each image once, for all branches.
        """
        raw, twins = list(self._raw(images)), None
        tokens = _together([unit(part) for part in raw], images)
        branches: dict[str, Levels] = {}
        if self.personalizer is not None:
            made = list(self._personalized(self.personalizer, images, keys))
            twins = torch.cat([part.twins for part in made])
            branches["p"] = self._twin_maps(tokens, twins, torch.cat([part.candidates for part in made]))
        if self.bank and bank is not None:
            branches["n"] = bank.maps(tokens)
        if self.text is not None:
            maps, vectors = self.text
            branches["text"] = _together([maps.scores(part, vectors) for part in raw], images)
        return twins, branches

    def _raw(self, images: Tensor) -> Iterator[Levels]:
        """Yield the network's tokens, one batch at a time."""
        scale = 255 if images.dtype == torch.uint8 else 1
        for part in torch.split(images, self.batch):
            yield self.network.tokens(part.float() / scale)

    def _personalized(self, personalizer: Personalizer, images: Tensor, keys: Sequence[str]) -> Iterator[Twins]:
        for start in range(0, len(images), self.batch):
            yield personalizer.of(images[start : start + self.batch], keys[start : start + self.batch])

    def _twin_maps(self, tokens: Levels, twins: Tensor, candidates: Tensor) -> Levels:
        """Return S_P for the twins (N, 3, S, S), or for all candidates (N, P, 3, S, S), combined as `choice` says."""
        if self.choice == "ssim":
            return twin_maps(tokens, self.tokens(twins))
        compared = [twin_maps(tokens, self.tokens(images)) for images in candidates.unbind(1)]
        levels = [torch.stack(maps) for maps in zip(*compared, strict=True)]
        return [level.mean(0) if self.choice == "mean" else level.amin(0) for level in levels]


def joined(parts: Sequence[Levels]) -> Levels:
    """Return the batches concatenated, level by level."""
    return [torch.cat(level) for level in zip(*parts, strict=True)]


def _together(parts: Sequence[Levels], images: Tensor) -> Levels:
    return [level.to(images.device) for level in joined(parts)]
