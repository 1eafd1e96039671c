"""What detectors that learn from the patches of normal images share: reading, fitting, judging, saving."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from normalgen.detectors.base import Explanation, Prediction
from normalgen.detectors.one_to_normal.calibration import Known
from normalgen.detectors.one_to_normal.state import Training
from normalgen.detectors.one_to_normal.stitching import explain_tiles, highest, same_size
from normalgen.detectors.saved_patches import read_patches, write_patches
from normalgen.errors import DataError, NotFittedError, PresetError
from normalgen.features.cached import KeptFeatures
from normalgen.features.contract import Features
from normalgen.features.open_features import check_features, open_features, opened
from normalgen.images.images import Images, Photo, stacked
from normalgen.images.sources import ImageSource, as_images
from normalgen.io.progress import Watch, silent
from normalgen.pool.dataset import Pool
from normalgen.references import References

__all__ = ["Learned", "PatchDetector"]

UNSAVED = ("batch", "device", "cache", "kept")
"""Fields that change no score."""


@dataclass(frozen=True)
class Learned:
    """What `fit` leaves behind.

    Attributes:
        network: the opened features.
        tensors: what was learned, by name; a saved detector holds the same.
        training: what it was fitted on.
        images: how many normal images it was fitted on.
        known: the references' pixels, for `left_out`; None after `load`.
    """

    network: Features
    tensors: dict[str, Tensor]
    training: Training
    images: int
    known: Known | None


@dataclass(kw_only=True)
class PatchDetector(ABC):
    """A detector that learns tensors from normal images once, and scores each patch of a query by them.

    A detector has a `name`, which `normalgen detect --detector` takes, and implements `_learn`, `_take` and `_maps`.

    Args:
        features: a name for `normalgen.features.open_features`.
        features_size: width and height, in pixels, of the features' input; 0: their default.
        batch: images at a time; changes no score by more than 1e-4.
        seed: decides every draw.
        device: torch device.
        cache: folder of cached patch vectors; None caches none.
    """

    name: ClassVar[str]
    needs_model: ClassVar[bool] = False

    features: str = "embedded"
    features_size: int = 0
    batch: int = 8
    seed: int = 0
    device: str = "cpu"
    cache: Path | None = None
    fitted_: Learned | None = field(default=None, init=False, repr=False)
    left_out_: Tensor | None = field(default=None, init=False, repr=False)

    @abstractmethod
    def _learn(self, network: Features, known: Known, references: References) -> dict[str, Tensor]:
        """Return what is learned from all normal images; `known.sources` says which reference each is made from."""

    @abstractmethod
    def _take(self, tensors: dict[str, Tensor]) -> None:
        """Get ready to judge with what was learned, by `_learn` just now or before `save`."""

    @abstractmethod
    def _maps(self, images: Tensor, without: int | None) -> Tensor:
        """Return maps (N, h, w) of images (N, 3, S, S) in [0, 1]; `without` leaves out a reference and its images."""

    def _scores(self, maps: Tensor) -> Tensor:
        """Return image scores (N,) of maps (N, h, w): their maxima."""
        return maps.flatten(1).amax(1)

    def _shown(self, maps: Tensor) -> Tensor:
        """Return the maps (N, H, W) to show for the maps (N, h, w) that were scored: the same."""
        return maps

    def check(self) -> None:
        """Check the settings, without loading a network.

        Raises:
            PresetError: a number is out of range, or the features have an unknown name.
        """
        check_features(self.features)
        for name, value, least in (("features_size", self.features_size, 0), ("batch", self.batch, 1)):
            if not isinstance(value, int) or value < least:
                raise PresetError(f"{self.name}: {name} must be a whole number of at least {least}, got {value!r}")

    def fit(self, references: References, pool: Pool | None = None, *, size: int = 0, watch: Watch = silent) -> Self:
        """Learn from the references and the pool, and forget any earlier fit.

        Args:
            references: the k normal photos.
            pool: more normal images.
            size: ignored; images are read at the size of the features.
            watch: receives the progress of "read references".

        Raises:
            DataError: the pool has another category, or the features of an image are not finite.
            PresetError: a setting cannot work.
        """
        self.check()
        category = pool.rows[0]["category"] if pool else references.category
        if category != references.category:
            raise DataError(f"the pool has category {category!r}, the references {references.category!r}")
        network = self.network()
        known = Known.of(references, pool, network.size, 0, watch)
        tensors = {name: held.contiguous() for name, held in self._learn(network, known, references).items()}
        images = len(known.photos) + len(known.drawn)
        known = replace(known, drawn=known.drawn[:0])
        self.fitted_, self.left_out_ = Learned(network, tensors, Training.of(references), images, known), None
        self._take(tensors)
        return self

    @property
    def left_out(self) -> Tensor:
        """Scores (k,) of the references, each judged without itself and what was made from it; none if there is one."""
        if self.left_out_ is None:
            self.left_out_ = _left_out(self, self._ready().known)
        return self.left_out_

    def network(self) -> Features:
        """Return the features, opened."""
        return self._opened(None)

    def _opened(self, layers: Sequence[int] | None) -> Features:
        """Return the features, opened with these layers; None for their own."""
        network = open_features(self.features, device=self.device, size=self.features_size or None, layers=layers)
        return network if self.cache is None else KeptFeatures(network, self.cache / "patches")

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
        size = self._ready().network.size
        for photos in queries.photos(size, self.together, whole=self.tile > 0):
            yield self.explain_photos(photos)

    def explain_photos(self, photos: Sequence[Photo]) -> Explanation:
        """Return the explanation of at most `together` photos, read at the detector's size; tiles need their image."""
        if not self.tile:
            return self._explain(stacked(photos), ())
        (photo,) = photos
        return explain_tiles(self._explain, photo, self.tile, self._ready().network.size, self.batch)

    def _explain(self, images: Tensor, keys: Sequence[str]) -> Explanation:
        maps = self._maps(images, None).cpu()
        return Explanation(images, None, {"fused": self._scores(maps)}, self._shown(maps), {})

    @property
    def tile(self) -> int:
        """Width and height of tiles, in pixels, as the references were cut; 0 if photos are judged whole."""
        return self._ready().training.tile

    @property
    def together(self) -> int:
        """How many photos `explain_photos` takes at a time: a batch, or 1 if photos are judged in tiles."""
        return 1 if self.tile else self.batch

    @property
    def is_fitted(self) -> bool:
        """Whether it is ready to predict, after `fit` or `load`."""
        return self.fitted_ is not None

    @property
    def trained_from(self) -> Training:
        """Category, noun, crop and SHA-256 of the references; raises NotFittedError before `fit`."""
        return self._ready().training

    def judged_size(self, model_size: int) -> int:
        """Return the width and height, in pixels, of the images that it will judge."""
        return self.network().size

    def without_model(self) -> Self | None:
        """Return the detector itself: it never needs a model."""
        return self

    def trained_on(self, queries: Images) -> list[str]:
        """Return no names: nothing is learned from queries."""
        return []

    def settings(self) -> dict[str, Any]:
        """Return every setting that a result depends on, as plain data; once fitted, what it was fitted with, too."""
        chosen = {name: value for name, value in self._chosen().items() if value != self._default(name)}
        settings = {"detector": self.name, "features": self.features} | chosen
        if self.fitted_ is None:
            return settings
        network, training = self.fitted_.network, self.fitted_.training
        settings |= {"category": training.category, "object": training.noun, "size": network.size}
        settings |= {"tile": training.tile} if training.tile else {}
        return settings | {"bank_images": self.fitted_.images, "network": opened(network)}

    def save(self, folder: Path) -> None:
        """Write all that `predict` needs into `folder`; raises NotFittedError before `fit`."""
        fitted = self._ready()
        record = {"detector": self.name, "settings": self._chosen(), "network": opened(fitted.network)}
        write_patches(folder, record, fitted.training, fitted.images, {**fitted.tensors, "left_out": self.left_out})

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", batch: int = 8, cache: Path | None = None) -> Self:
        """Return the detector that `save` wrote; it gives the same scores.

        Raises:
            DataError, MissingWeights: as `read_patches`; or the features of that name have changed.
        """
        saved = read_patches(folder, cls.name)
        detector = cls(**saved.settings, device=device, batch=batch, cache=cache)
        network = detector.network()
        saved.need_network(opened(network))
        detector.fitted_ = Learned(network, saved.tensors, saved.training, saved.images, None)
        detector.left_out_ = saved.left_out
        detector._take(saved.tensors)
        return detector

    def _ready(self) -> Learned:
        if self.fitted_ is None:
            raise NotFittedError(f"fit the detector first: {type(self).__name__}().fit(references, pool)")
        return self.fitted_

    def _chosen(self) -> dict[str, Any]:
        names = [item.name for item in fields(self) if item.init and item.name not in UNSAVED]
        return {name: getattr(self, name) for name in names}

    def _default(self, name: str) -> Any:
        return next(item.default for item in fields(self) if item.name == name)


def _left_out(detector: PatchDetector, known: Known | None) -> Tensor:
    if known is None or len(known.digests) < 2:
        return torch.empty(0)
    owners = list(known.sources[: len(known.photos)])
    rows = [row for reference in range(len(known.digests)) for row, owner in enumerate(owners) if owner == reference]
    maps = [detector._maps(known.photos[row : row + 1].float() / 255, owners[row]).cpu() for row in rows]
    return highest(torch.cat([detector._scores(part) for part in maps]), [owners[row] for row in rows])
