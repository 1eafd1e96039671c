"""What detectors that learn from the patches of normal images share: reading, fitting, judging, saving."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from normalgen.detectors.base import Explanation
from normalgen.detectors.map_scores import left_out_scores
from normalgen.detectors.one_to_normal.calibration import Known, known_names
from normalgen.detectors.one_to_normal.state import Training
from normalgen.detectors.pixel_detector import PixelDetector
from normalgen.detectors.saved import AGAIN
from normalgen.detectors.saved_patches import read_patches, write_patches
from normalgen.errors import DataError, NotFittedError, PresetError
from normalgen.features.cached import KeptFeatures
from normalgen.features.contract import Features
from normalgen.features.finite import finite, naming
from normalgen.features.open_features import check_features, open_features, opened
from normalgen.features.timm import Layers
from normalgen.images.images import Images
from normalgen.io.free_memory import need_memory
from normalgen.io.progress import Watch, silent
from normalgen.pool.dataset import Pool
from normalgen.references import References

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel

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
class PatchDetector(PixelDetector):
    """A detector that learns tensors from normal images once, and scores each patch of a query by them.

    A detector has a `name`, which `normalgen detect --detector` takes, and implements `_learn`, `_take` and `_maps`.
    One that keeps fewer or more numbers per image than the features give overrides `_values`; `smaller` says which
    setting makes them fewer.

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
    smaller: ClassVar[str] = "lower features_size"

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

    def _judge(self, images: Tensor, without: int | None) -> tuple[Tensor, Tensor]:
        """Return image scores (N,) and maps (N, h, w), on the CPU; a detector whose scores need more overrides it."""
        maps = self._maps(images, without).cpu()
        return self._scores(maps), maps

    def check(self) -> None:
        """Check the settings, without loading a network.

        Raises:
            PresetError: a number is out of range, or the features have an unknown name.
        """
        check_features(self.features)
        for name, value, least in (("features_size", self.features_size, 0), ("batch", self.batch, 1)):
            if not isinstance(value, int) or value < least:
                raise PresetError(f"{self.name}: {name} must be a whole number of at least {least}, got {value!r}")
        if not isinstance(self.seed, int):
            raise PresetError(f"{self.name}: seed must be a whole number, got {self.seed!r}")

    def fit(self, references: References, pool: Pool | None = None, *, size: int = 0, watch: Watch = silent) -> Self:
        """Learn from the references and the pool, and forget any earlier fit.

        Args:
            references: the k normal photos.
            pool: more normal images.
            size: ignored; images are read at the size of the features.
            watch: receives the progress of "read references".

        Raises:
            DataError: the pool has another category, or the features of an image are not finite.
            PresetError: a setting cannot work, or what is learned would be larger than the free memory.
        """
        self.check()
        category = pool.rows[0]["category"] if pool else references.category
        if category != references.category:
            raise DataError(f"the pool has category {category!r}, the references {references.category!r}")
        network = self.network()
        images = len(references.pieces) + (len(pool) if pool else 0)
        views = images + len(references.pieces) * (self._views - 1)
        size_of_all = images * 3 * network.size**2 + views * 4 * self._values(network)
        need_memory(size_of_all, f"{self.name} on {images} images", f"{self.smaller}, or use a smaller pool")
        known = Known.of(references, pool, network.size, 0, watch)
        with naming(network, [known.photos, known.drawn], known_names(references, pool)):
            tensors = {name: held.contiguous() for name, held in self._learn(network, known, references).items()}
        known = replace(known, drawn=known.drawn[:0])
        self.fitted_, self.left_out_ = Learned(network, tensors, Training.of(references), images, known), None
        self._take(tensors)
        return self

    @property
    def left_out(self) -> Tensor:
        """Scores (k,) of the references, each judged without itself and what was made from it; none if there is one."""
        if self.left_out_ is None:
            self.left_out_ = left_out_scores(self._ready().known, self._judge)
        return self.left_out_

    def network(self) -> Features:
        """Return the features, opened."""
        return self._opened(None)

    def _opened(self, layers: Layers | None) -> Features:
        """Return the features, opened with these layers; None for their own."""
        network = open_features(self.features, device=self.device, size=self.features_size or None, layers=layers)
        return network if self.cache is None else KeptFeatures(network, self.cache / "patches")

    def explain_pixels(self, images: Tensor, keys: Sequence[str], without: int | None = None) -> Explanation:
        """Return the explanation of images (N, 3, S, S) in [0, 1]; `without` leaves out a reference and its images.

        Raises:
            NotFinite: a map holds NaN or infinity.
        """
        scores, maps = self._judge(images, without)
        finite([scores[:, None], maps], f"{opened(self._ready().network)} in {self.name}")
        return Explanation(images, None, {"fused": scores}, maps, {})

    @property
    def image_size(self) -> int:
        """Width and height, in pixels, of the images it judges; raises NotFittedError before `fit`."""
        return self._ready().network.size

    @property
    def uses_pool(self) -> bool:
        """Whether it learns from a pool: always."""
        return True

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

    def with_model(self, model: "NormalModel | None") -> Self:
        """Return the same detector, unfitted: it never needs a model."""
        return replace(self)

    def without_model(self) -> Self | None:
        """Return the same detector, unfitted: it never needs a model."""
        return replace(self)

    def trained_on(self, queries: Images) -> list[str]:
        """Return no names: nothing is learned from queries."""
        return []

    def described(self) -> list[str]:
        """Return one line on how it judges; raises NotFittedError before `fit`."""
        words = "".join(f", {name} {value}" for name, value in self._unusual().items() if name != "features")
        return [f"{self.name}, {self.features} features{words}, learned from {self._ready().images} images"]

    def settings(self) -> dict[str, Any]:
        """Return every setting that a result depends on, as plain data; once fitted, what it was fitted with, too."""
        settings = {"detector": self.name, "features": self.features} | self._unusual()
        if self.fitted_ is None:
            return settings
        network, training = self.fitted_.network, self.fitted_.training
        settings |= {"category": training.category, "object": training.noun, "size": network.size}
        settings |= {"tile": training.tile} if training.tile else {}
        return settings | {"bank_images": self.fitted_.images, "network": opened(network)}

    def save(self, folder: Path) -> None:
        """Write all that `predict` needs into `folder`; raises NotFittedError before `fit`."""
        write_patches(folder, *self.learned())

    def learned(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return what `fit` learned: plain data, and tensors by name; raises NotFittedError before `fit`."""
        fitted = self._ready()
        record: dict[str, Any] = {"detector": self.name, "settings": self._chosen(), "images": fitted.images}
        record |= {"network": opened(fitted.network), "training": asdict(fitted.training)}
        return record, {**fitted.tensors, "left_out": self.left_out}

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", batch: int = 8, cache: Path | None = None) -> Self:
        """Return the detector that `save` wrote; it gives the same scores.

        Raises:
            DataError, MissingWeights: as `read_patches` and `take_over`.
        """
        record, tensors = read_patches(folder, cls.name)
        try:
            detector = cls(**record["settings"], device=device, batch=batch, cache=cache)
        except TypeError as error:
            raise DataError(f"{folder} is damaged: {error}; {AGAIN}") from error
        detector.check()
        return detector.take_over(record, tensors, folder)

    def take_over(self, record: Mapping[str, Any], tensors: dict[str, Tensor], source: Path) -> Self:
        """Become fitted with what a detector of these settings `learned`, read from `source`.

        Raises:
            DataError: the features of that name have changed, or something is lacking.
        """
        network = self.network()
        if opened(network) != record["network"]:
            raise DataError(f"{source} needs the features {record['network']}, these are {opened(network)}; {AGAIN}")
        tensors = dict(tensors)
        try:
            self.left_out_ = tensors.pop("left_out")
            training = Training.from_record(record["training"])
            self.fitted_ = Learned(network, tensors, training, record["images"], None)
            self._take(tensors)
        except KeyError as error:
            raise DataError(f"{source} is damaged: it lacks {error}; {AGAIN}") from error
        return self

    def _values(self, network: Features) -> int:
        """Return how many numbers it keeps of each image while it learns: those that the features give."""
        return sum(level.numel() for level in network.tokens(torch.zeros(1, 3, network.size, network.size)))

    @property
    def _views(self) -> int:
        """How many views of each reference it keeps."""
        return 1

    def _ready(self) -> Learned:
        if self.fitted_ is None:
            raise NotFittedError(f"fit the detector first: {type(self).__name__}().fit(references, pool)")
        return self.fitted_

    def _chosen(self) -> dict[str, Any]:
        names = [item.name for item in fields(self) if item.init and item.name not in UNSAVED]
        return {name: getattr(self, name) for name in names}

    def _unusual(self) -> dict[str, Any]:
        """Return the settings that are not the defaults."""
        defaults = {item.name: item.default for item in fields(self)}
        return {name: value for name, value in self._chosen().items() if value != defaults[name]}
