"""A plain nearest-patch memory: PatchCore (Roth et al. 2022) without coreset and re-weighting.

It keeps every patch of references and pool. The score of a query's patch is its distance to the nearest kept patch, and
the score of an image is its highest patch score. This is the simplest detector that a pool can help.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from normalgen.detectors.one_to_normal.calibration import Known
from normalgen.detectors.one_to_normal.left_out import BankWithout
from normalgen.detectors.one_to_normal.shared_banks import KeptMaps, banks_of
from normalgen.detectors.one_to_normal.triplet import PatchBank
from normalgen.detectors.patch_detector import PatchDetector
from normalgen.errors import NotFittedError, PresetError
from normalgen.features.contract import Features
from normalgen.features.patches import GRID, joined_patches
from normalgen.references import References

__all__ = ["PatchMemory", "inliers"]


@dataclass(kw_only=True)
class PatchMemory(PatchDetector):
    """Scores queries by nearest-patch distances on one grid.

    Args:
        grid: rows and columns to which all levels are averaged.
        kept: distances to images that several memories hold; None keeps none.
        drop: share of the pool's patches that are left out as outliers, in [0, 1): see `inliers`.
    """

    name: ClassVar[str] = "memory"
    smaller: ClassVar[str] = "lower grid"

    grid: int = GRID
    kept: KeptMaps | None = field(default=None, repr=False)
    drop: float = 0.0
    bank_: PatchBank | None = field(default=None, init=False, repr=False)

    def check(self) -> None:
        """Check the settings.

        Raises:
            PresetError: a number is out of range, or the features have an unknown name.
        """
        super().check()
        if not isinstance(self.grid, int) or self.grid < 1:
            raise PresetError(f"memory: grid must be a whole number of at least 1, got {self.grid!r}")
        if not isinstance(self.drop, float | int) or not 0 <= self.drop < 1:
            raise PresetError(f"memory: drop must be in [0, 1), got {self.drop!r}")

    def _values(self, network: Features) -> int:
        blank = torch.zeros(1, 3, network.size, network.size)
        finest = max(GRID, *(level.shape[1] for level in network.tokens(blank)))
        if self.grid > finest:
            raise PresetError(f"memory: grid must be at most {finest}, that of {network.name}, got {self.grid}")
        return joined_patches(network, blank, self.grid).numel()

    def _learn(self, network: Features, known: Known, references: References) -> dict[str, Tensor]:
        vectors = self._patches(network, known.photos)
        if len(known.drawn):
            more = self._patches(network, known.drawn)
            more[~inliers(more, self.drop)] = vectors[0, 0, 0]  # a copy of a known patch changes no distance
            vectors = torch.cat([vectors, more])
        return {"vectors": vectors, "sources": torch.tensor(known.sources)}

    def _take(self, tensors: dict[str, Tensor]) -> None:
        first = len(self._ready().training.references)
        self.bank_ = banks_of([tensors["vectors"]], first, self.kept, self.device, subspaces=False)

    def _maps(self, images: Tensor, without: int | None) -> Tensor:
        fitted = self._ready()
        patches = [joined_patches(fitted.network, images, self.grid)]
        if without is None:
            return self._nearest().maps(patches)[0].mul(2).sqrt()
        sources = fitted.tensors["sources"].tolist()
        return BankWithout(self._nearest(), sources, [without] * len(images)).maps(patches)[0].mul(2).sqrt()

    def _nearest(self) -> PatchBank:
        if self.bank_ is None:
            raise NotFittedError("fit the detector first: PatchMemory().fit(references, pool)")
        return self.bank_

    def _patches(self, network: Features, images: Tensor) -> Tensor:
        """Return `joined_patches` (N, grid, grid, C) of images, uint8 (N, 3, S, S)."""
        parts = torch.split(images, self.batch)
        return torch.cat([joined_patches(network, part.float() / 255, self.grid) for part in parts])


def inliers(patches: Tensor, drop: float) -> Tensor:
    """Return all but the share `drop` of patches (N, g, g, C) that are farthest from their nearest one, bool (N, g, g).

    As in SoftPatch (Jiang et al., NeurIPS 2022), the nearest is searched at the same position in the other images, and
    one limit holds for all positions. Its weights on the others are left out.
    """
    if not drop or len(patches) < 2:
        return torch.ones(patches.shape[:3], dtype=torch.bool)
    columns = patches.flatten(1, 2).transpose(0, 1)
    apart = torch.cdist(columns, columns)
    apart.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    scores = apart.amin(2).T
    return (scores <= scores.flatten().quantile(1 - drop)).view(patches.shape[:3])
