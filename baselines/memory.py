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
from normalgen.errors import NotFittedError, PresetError
from normalgen.features.cached import KeptFeatures
from normalgen.features.contract import Features
from normalgen.features.memory_bank import MemoryBank
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
    """

    features: str = "embedded"
    grid: int = 16
    batch: int = 8
    device: str = "cpu"
    cache: Path | None = None
    network_: Features | None = field(default=None, init=False, repr=False)
    bank_: MemoryBank | None = field(default=None, init=False, repr=False)

    def check(self) -> None:
        """Check the settings.

        Raises:
            PresetError: a number is no whole number of at least 1, or the features have an unknown name.
        """
        check_features(self.features)
        for name, value in (("grid", self.grid), ("batch", self.batch)):
            if not isinstance(value, int) or value < 1:
                raise PresetError(f"memory: {name} must be a whole number of at least 1, got {value!r}")

    def fit(self, references: References, pool: Pool | None = None) -> Self:
        """Keep every patch of the references and the pool."""
        self.check()
        network = open_features(self.features, device=self.device)
        self.network_ = network if self.cache is None else KeptFeatures(network, self.cache / "patches")
        known = [references.images, *([pool.images] if pool else [])]
        self.bank_ = MemoryBank(torch.cat([part.flatten(0, 2) for images in known for part in self._patches(images)]))
        return self

    def predict(self, queries: ImageSource) -> Prediction:
        """Return maps of distances (N, grid, grid), and their maxima as image scores (N,).

        Raises:
            NotFittedError: before `fit`.
        """
        if self.bank_ is None:
            raise NotFittedError("fit the detector first: PatchMemory().fit(references, pool)")
        distances = [self.bank_.distances(patches).cpu() for patches in self._patches(as_images(queries))]
        maps = torch.cat(distances) if distances else torch.empty(0, self.grid, self.grid)
        return Prediction(maps.flatten(1).amax(1), maps)

    def settings(self) -> dict[str, Any]:
        """Return everything that a result depends on, as plain data."""
        network = {} if self.network_ is None else {"network": opened(self.network_)}
        return {"features": self.features, "grid": self.grid, **network}

    def _patches(self, images: Images) -> Iterator[Tensor]:
        """Yield `joined_patches` (N, grid, grid, C) per batch."""
        if self.network_ is None:
            raise NotFittedError("fit the detector first: PatchMemory().fit(references, pool)")
        for pixels in images.batches(self.network_.size, self.batch):
            yield joined_patches(self.network_, pixels, self.grid)
