"""What all detectors of this package share: photos, batches and tiles around one method that judges pixels."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from normalgen.detectors.base import Explanation, Prediction
from normalgen.detectors.one_to_normal.state import Training
from normalgen.detectors.one_to_normal.stitching import explain_tiles, same_size
from normalgen.features.contract import Features
from normalgen.features.finite import NotFinite
from normalgen.images.images import Images, Photo, stacked
from normalgen.images.sources import ImageSource, as_images

__all__ = ["PixelDetector"]


class PixelDetector(ABC):
    """A detector that judges images squashed to its `image_size`, and whose fit can be kept on disk."""

    batch: int
    seed: int
    cache: Path | None

    @property
    @abstractmethod
    def is_fitted(self) -> bool:
        """Whether it is ready to predict, after `fit` or `load`."""

    @property
    @abstractmethod
    def trained_from(self) -> Training:
        """Category, noun, crop and SHA-256 of the references; raises NotFittedError before `fit`."""

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Width and height, in pixels, of the images it judges; raises NotFittedError before `fit`."""

    @abstractmethod
    def network(self) -> Features:
        """Return the features, opened."""

    @abstractmethod
    def explain_pixels(self, images: Tensor, keys: Sequence[str], without: int | None = None) -> Explanation:
        """Return the explanation of images (N, 3, S, S) in [0, 1] named by `keys`.

        `without` is the index of a reference to leave out, with everything made from it.
        """

    @abstractmethod
    def learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `fit` learned: plain data, and tensors by name; raises NotFittedError before `fit`."""

    @abstractmethod
    def take_over(self, record: Mapping[str, Any], tensors: dict[str, Tensor], source: Path) -> Self:
        """Become fitted with what a detector of these settings `learned`, read from `source`.

        Raises:
            DataError: the features of that name have changed, or something is lacking.
        """

    @property
    def tile(self) -> int:
        """Width and height of tiles, in pixels, as the references were cut; 0 if photos are judged whole."""
        return self.trained_from.tile

    @property
    def together(self) -> int:
        """How many photos `explain_photos` takes at a time: a batch, or 1 if photos are judged in tiles."""
        return 1 if self.tile else self.batch

    @property
    def whole(self) -> bool:
        """Whether `explain_photos` needs photos with their image: for tiles."""
        return self.tile > 0

    def predict(self, queries: ImageSource) -> Prediction:
        """Return scores (N,) and maps (N, h, w); maps of tiles are resized to the largest one.

        Raises:
            NotFittedError: before `fit`.
        """
        batches = [(batch.scores["fused"], batch.maps) for batch in self.explain(as_images(queries))]
        if not batches:
            return Prediction(torch.empty(0), torch.empty(0, 0, 0))
        scores, maps = zip(*batches, strict=True)
        return Prediction(torch.cat(scores), same_size(maps))

    def explain(self, queries: Images) -> Iterator[Explanation]:
        """Yield everything that `predict` is computed from, one batch at a time.

        Raises:
            NotFittedError: before `fit`.
        """
        for photos in queries.photos(self.image_size, self.together, whole=self.whole):
            yield self.explain_photos(photos)

    def explain_photos(self, photos: Sequence[Photo]) -> Explanation:
        """Return the explanation of at most `together` photos, read at the detector's size; tiles need their image.

        Raises:
            NotFinite: the features of a photo hold NaN or infinity.
        """
        try:
            return self._explain_photos(photos)
        except NotFinite as error:
            for photo in photos if len(photos) > 1 else ():
                self.explain_photos([photo])
            raise NotFinite(error.network, ", ".join(photo.name for photo in photos)) from error

    def _explain_photos(self, photos: Sequence[Photo]) -> Explanation:
        if not self.tile:
            return self.explain_pixels(stacked(photos), [photo.key for photo in photos])
        (photo,) = photos
        return explain_tiles(self.explain_pixels, photo, self.tile, self.image_size, self.batch)
