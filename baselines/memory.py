"""A plain nearest-patch memory: PatchCore (Roth et al. 2022) without coreset and re-weighting.

It keeps every patch of references and pool. The score of a query's patch is its distance to the nearest kept patch, and
the score of an image is its highest patch score. This is the simplest detector that a pool can help.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from normalgen.detectors.base import Prediction
from normalgen.detectors.one_to_normal.shared_banks import KeptMaps, banks_of
from normalgen.detectors.one_to_normal.triplet import PatchBank
from normalgen.errors import NotFittedError, PresetError
from normalgen.features.cached import KeptFeatures
from normalgen.features.contract import Features
from normalgen.features.open_features import check_features, open_features, opened
from normalgen.features.patches import joined_patches
from normalgen.images.images import Images
from normalgen.images.sources import ImageSource, as_images
from normalgen.pool.dataset import Pool
from normalgen.references import References

__all__ = ["PatchMemory"]


@dataclass(kw_only=True)
class PatchMemory:
    """Scores queries by nearest-patch distances on one grid.

    Args:
        features: a name for `normalgen.features.open_features`.
        grid: rows and columns to which all levels are averaged.
        batch: queries at a time; does not change scores.
        device: device of the features.
        cache: folder for patch vectors; None keeps none.
        kept: distances to images that several memories hold; None keeps none.
        drop: share of the pool's patches that are left out as outliers, in [0, 1): see `inliers`.
    """

    features: str = "embedded"
    grid: int = 16
    batch: int = 8
    device: str = "cpu"
    cache: Path | None = None
    kept: KeptMaps | None = field(default=None, repr=False)
    drop: float = 0.0
    network_: Features | None = field(default=None, init=False, repr=False)
    bank_: PatchBank | None = field(default=None, init=False, repr=False)

    def check(self) -> None:
        """Check the settings.

        Raises:
            PresetError: a number is out of range, or the features have an unknown name.
        """
        check_features(self.features)
        for name, value in (("grid", self.grid), ("batch", self.batch)):
            if not isinstance(value, int) or value < 1:
                raise PresetError(f"memory: {name} must be a whole number of at least 1, got {value!r}")
        if not isinstance(self.drop, float | int) or not 0 <= self.drop < 1:
            raise PresetError(f"memory: drop must be in [0, 1), got {self.drop!r}")

    def fit(self, references: References, pool: Pool | None = None) -> Self:
        """Keep every patch of the references and the pool."""
        self.check()
        network = open_features(self.features, device=self.device)
        self.network_ = network if self.cache is None else KeptFeatures(network, self.cache / "patches")
        vectors = torch.cat([*self._patches(references.images)])
        first = len(vectors)
        if pool:
            more = torch.cat([*self._patches(pool.images)])
            more[~inliers(more, self.drop)] = vectors[0, 0, 0]  # a copy of a known patch changes no distance
            vectors = torch.cat([vectors, more])
        self.bank_ = banks_of([vectors], first, self.kept, self.device, subspaces=False)
        return self

    def predict(self, queries: ImageSource) -> Prediction:
        """Return maps of distances (N, grid, grid), and their maxima as image scores (N,).

        Raises:
            NotFittedError: before `fit`.
        """
        if self.bank_ is None:
            raise NotFittedError("fit the detector first: PatchMemory().fit(references, pool)")
        halves = (self.bank_.nearest([patches])[0] for patches in self._patches(as_images(queries)))
        distances = [half.mul(2).sqrt().cpu() for half in halves]
        maps = torch.cat(distances) if distances else torch.empty(0, self.grid, self.grid)
        return Prediction(maps.flatten(1).amax(1), maps)

    def settings(self) -> dict[str, Any]:
        """Return everything that a result depends on, as plain data."""
        network = {} if self.network_ is None else {"network": opened(self.network_)}
        return {"features": self.features, "grid": self.grid, **({"drop": self.drop} if self.drop else {}), **network}

    def _patches(self, images: Images) -> Iterator[Tensor]:
        """Yield `joined_patches` (N, grid, grid, C) per batch."""
        if self.network_ is None:
            raise NotFittedError("fit the detector first: PatchMemory().fit(references, pool)")
        for pixels in images.batches(self.network_.size, self.batch):
            yield joined_patches(self.network_, pixels, self.grid)


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
