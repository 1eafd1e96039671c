"""A detector of your own, with a pool: normalgen detect mixed --references good --detector own_detector:NearestColour

`fit` gets the references and the pool, or None; `predict` gets the photos and returns one score and one map for each.
Run it with this folder as the current one, or on PYTHONPATH. `normalgen evaluate --detectors` takes the same name.
"""

import torch

from normalgen.detectors.base import Prediction
from normalgen.images.images import Images
from normalgen.pool.dataset import Pool
from normalgen.references import References


class NearestColour:
    """Scores each pixel by its distance from the nearest normal image's pixel at the same position."""

    def __init__(self, size: int = 32) -> None:
        self.size = size

    def fit(self, references: References, pool: Pool | None = None) -> "NearestColour":
        normal = [*references.images.batches(self.size), *(pool.images.batches(self.size) if pool else ())]
        self.normal = torch.cat(normal)
        return self

    def predict(self, queries: Images) -> Prediction:
        apart = [torch.cdist(batch.flatten(2).mT[:, :, None], self._pixels()) for batch in queries.batches(self.size)]
        maps = torch.cat(apart).amin((2, 3)).view(-1, self.size, self.size)
        return Prediction(maps.flatten(1).topk(16).values.mean(1), maps)

    def _pixels(self) -> torch.Tensor:
        return self.normal.flatten(2).permute(2, 0, 1)
