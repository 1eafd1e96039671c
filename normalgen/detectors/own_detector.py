"""Lets `normalgen detect` run a detector that somebody else wrote: any class with `fit` and `predict`."""

import json
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor

from normalgen.detectors.base import Detector, Explanation, JudgingDetector
from normalgen.detectors.one_to_normal.state import Training
from normalgen.errors import DataError, NormalgenError, NotFittedError, PresetError
from normalgen.images.images import Images, Photo, stacked, to_pil
from normalgen.images.sources import as_images
from normalgen.io.progress import Watch, silent
from normalgen.pool.dataset import Pool
from normalgen.references import References

if TYPE_CHECKING:
    from normalgen.diffusion.model import NormalModel

__all__ = ["OwnDetector", "judging", "reported"]

SIZE, TOGETHER = 256, 16
"""Width and height of the pixels it is asked about without a photo, and photos per call of `predict`."""


@dataclass(kw_only=True)
class OwnDetector:
    """Somebody's detector; it gets photos as they are, and a batch of them per call.

    Args:
        make: makes the unfitted detector, with a customized model if it needs one.
        name: what messages call it.
        needs_model: whether `make` needs a model.
        model: the customized model.
    """

    make: "Callable[[NormalModel | None], Detector]"
    name: str
    needs_model: bool = False
    model: "NormalModel | None" = field(default=None, repr=False)
    fitted_: Detector | None = field(default=None, init=False, repr=False)
    training_: Training | None = field(default=None, init=False, repr=False)
    images_: int = field(default=0, init=False, repr=False)

    uses_pool = True
    tile = 0
    together = TOGETHER
    whole = True
    image_size = SIZE

    def check(self) -> None:
        """Check nothing: its constructor has."""

    def fit(self, references: References, pool: Pool | None = None, *, size: int = 0, watch: Watch = silent) -> Self:
        """Make and fit the detector; `size` and `watch` are ignored.

        Raises:
            PresetError: the references are in tiles.
            DataError: the detector raises an error.
        """
        if references.tile:
            raise PresetError(f"{self.name} judges whole photos: only detectors of normalgen take --tile; leave it out")
        made = self.make(self.model)
        with _told(f"{self.name}.fit"):
            made.fit(references, pool)
        self.fitted_, self.training_ = made, Training.of(references)
        self.images_ = len(references.images) + (0 if pool is None else len(pool))
        return self

    @property
    def is_fitted(self) -> bool:
        """Whether it is ready to predict."""
        return self.fitted_ is not None

    @property
    def trained_from(self) -> Training:
        """Category, noun, crop and SHA-256 of the references; raises NotFittedError before `fit`."""
        if self.training_ is None:
            raise NotFittedError("fit the detector first: detector.fit(references, pool)")
        return self.training_

    @property
    def left_out(self) -> Tensor:
        """No scores: nobody knows how to leave a reference out of it."""
        return torch.empty(0)

    def judged_size(self, model_size: int) -> int:
        """Return a size that hides nothing: it gets whole photos."""
        return 2**20

    def with_model(self, model: "NormalModel | None") -> Self:
        """Return the same detector, unfitted, with this model."""
        return replace(self, model=model)

    def without_model(self) -> Self | None:
        """Return the same detector, unfitted; None if it needs a model."""
        return None if self.needs_model else replace(self)

    def predict(self, queries: Any) -> Any:
        """Return what the detector predicts for images; raises NotFittedError before `fit`."""
        if self.fitted_ is None:
            raise NotFittedError("fit the detector first: detector.fit(references, pool)")
        with _told(f"{self.name}.predict"):
            return self.fitted_.predict(as_images(queries))

    def explain(self, queries: Images) -> Iterator[Explanation]:
        """Yield scores and maps, one batch at a time."""
        for photos in queries.photos(SIZE, TOGETHER, whole=True):
            yield self.explain_photos(photos)

    def explain_photos(self, photos: Sequence[Photo]) -> Explanation:
        """Return scores and maps of photos that were read whole."""
        images = [photo.image for photo in photos if photo.image is not None]
        return self._explained(stacked(photos), images, [photo.name for photo in photos])

    def explain_pixels(self, images: Tensor, keys: Sequence[str], without: int | None = None) -> Explanation:
        """Return scores and maps of images (N, 3, S, S) in [0, 1].

        Raises:
            PresetError: a reference is to be left out.
        """
        if without is not None:
            raise PresetError(f"nobody knows how to leave a reference out of {self.name}; leave --self-test out")
        return self._explained(images, [to_pil(image) for image in images], keys)

    def _explained(self, pixels: Tensor, images: Any, names: Sequence[str]) -> Explanation:
        given = self.predict(images)
        with _told(f"{self.name}.predict"):
            scores = torch.as_tensor(given.image_scores).float().cpu()
            maps = torch.as_tensor(given.anomaly_maps).float().cpu()
        maps = maps if maps.numel() else scores.view(-1, 1, 1)
        if scores.shape != (len(names),) or maps.ndim != 3 or len(maps) != len(names):
            raise DataError(
                f"{self.name}.predict must give {len(names)} scores and as many maps (h, w) for {len(names)} images, "
                f"got shapes {tuple(scores.shape)} and {tuple(maps.shape)}"
            )
        for name, score, part in zip(names, scores, maps, strict=True):
            if not (score.isfinite() and part.isfinite().all()):
                raise DataError(f"{self.name}.predict gives {name} a score or a map that is not finite")
        return Explanation(pixels, None, {"fused": scores}, maps, {})

    def trained_on(self, queries: Images) -> list[str]:
        """Return no names."""
        return []

    def described(self) -> list[str]:
        """Return one line on how it judges."""
        return [f"{self.name}, learned from {self.images_} images"]

    def settings(self) -> dict[str, Any]:
        """Return the settings that the detector reports, and what it was fitted with."""
        training = self.trained_from
        named = {"detector": self.name, "category": training.category, "object": training.noun}
        return named | reported(self.fitted_) | {"bank_images": self.images_}

    def save(self, folder: Path) -> None:
        """Raise PresetError: nobody knows how to save it."""
        raise PresetError(f"nobody knows how to save {self.name}; leave --save out")


def judging(detector: Detector) -> JudgingDetector:
    """Return what `normalgen detect` needs of any detector: itself, or an `OwnDetector` around it."""
    if hasattr(type(detector), "explain_photos"):
        return cast(JudgingDetector, detector)
    return OwnDetector(make=lambda model: detector, name=type(detector).__name__)


def reported(detector: Any) -> dict[str, Any]:
    """Return the settings that a detector reports, or else its plain attributes."""
    report = getattr(detector, "settings", None)
    if callable(report):
        settings: dict[str, Any] = json.loads(json.dumps(report(), default=str))
        return settings
    plain = (str, int, float, bool)
    return {name: value for name, value in vars(detector).items() if isinstance(value, plain) and name[-1] != "_"}


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn the errors of somebody's code into one line that says where."""
    try:
        yield
    except NormalgenError:
        raise
    except Exception as error:  # it may raise anything
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        raise DataError(f"{what} raised {type(error).__name__}: {error} ({where})") from error
