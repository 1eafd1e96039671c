"""The detector protocol: fit on references and an optional pool, then score queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from torch import Tensor

from normalgen.images.images import Images, Photo
from normalgen.images.sources import ImageSource
from normalgen.io.progress import Watch
from normalgen.pool.dataset import Pool
from normalgen.references import References

if TYPE_CHECKING:
    from normalgen.detectors.one_to_normal.state import Training
    from normalgen.diffusion.model import NormalModel

__all__ = ["Detector", "ExplainingDetector", "Explanation", "JudgingDetector", "Prediction"]


@dataclass(frozen=True)
class Prediction:
    """Scores of queries.

    Attributes:
        image_scores: (N,), raw; higher is more anomalous.
        anomaly_maps: (N, H, W) at the detector's resolution.
    """

    image_scores: Tensor
    anomaly_maps: Tensor


@dataclass(frozen=True)
class Explanation:
    """A batch of queries with their twins, scores and maps.

    Attributes:
        queries: (N, 3, S, S) in [0, 1].
        twins: (N, 3, S, S), for each query the candidate most like it; None without branch p.
        scores: (N,) per branch, and "fused".
        maps: (N, H, W), fused, on the finest grid.
        branch_maps: (N, H, W) per branch.
    """

    queries: Tensor
    twins: Tensor | None
    scores: dict[str, Tensor]
    maps: Tensor
    branch_maps: dict[str, Tensor]


class Detector(Protocol):
    """A few-shot anomaly detector. Constructors take settings by keyword and only store them."""

    def fit(self, references: References, pool: Pool | None = None) -> Self:
        """Learn what is normal, and forget any earlier fit."""

    def predict(self, queries: Images) -> Prediction:
        """Score queries; this project's detectors also take what `normalgen.images.sources.as_images` takes.

        Raises:
            NotFittedError: before `fit`.
        """


@runtime_checkable
class ExplainingDetector(Detector, Protocol):
    """A detector that can also explain its scores, so that evaluations and reports show more of it."""

    @property
    def needs_model(self) -> bool:
        """Whether it makes twins, so that its constructor needs a customized model."""

    def check(self) -> None:
        """Check the settings, without loading a network.

        Raises:
            PresetError: the settings cannot work.
        """

    def without_model(self) -> Self | None:
        """Return the same detector, unfitted, without the parts that need a model; None if nothing is left."""

    def explain(self, queries: Images) -> Iterator[Explanation]:
        """Yield everything that `predict` is computed from, one batch at a time."""

    def trained_on(self, queries: Images) -> list[str]:
        """Return the names of the queries that the detector learned from: their scores mean nothing."""

    def settings(self) -> dict[str, Any]:
        """Return every setting that a result depends on, as plain data."""


class JudgingDetector(ExplainingDetector, Protocol):
    """A detector that `normalgen detect` fits, judges photos with, reports on and saves.

    `normalgen.detectors.own_detector.judging` makes one of any `Detector`.
    """

    def fit(self, references: References, pool: Pool | None = None, *, size: int = 0, watch: Watch = ...) -> Self:
        """Learn what is normal; `size` asks for images of this width and height, and `watch` receives the progress."""

    def predict(self, queries: ImageSource) -> Prediction:
        """Score queries of any kind; raises NotFittedError before `fit`."""

    @property
    def is_fitted(self) -> bool:
        """Whether it is ready to predict."""

    @property
    def trained_from(self) -> "Training":
        """Category, noun, crop and SHA-256 of the references; raises NotFittedError before `fit`."""

    @property
    def left_out(self) -> Tensor:
        """Scores of references, each judged without itself and what was made from it; empty if there are none."""

    @property
    def uses_pool(self) -> bool:
        """Whether it learns from a pool."""

    @property
    def tile(self) -> int:
        """Width and height of tiles, in pixels, as the references were cut; 0 if photos are judged whole."""

    @property
    def together(self) -> int:
        """How many photos `explain_photos` takes at a time."""

    @property
    def whole(self) -> bool:
        """Whether `explain_photos` needs photos with their image."""

    @property
    def image_size(self) -> int:
        """Width and height, in pixels, of the images it judges; raises NotFittedError before `fit`."""

    def judged_size(self, model_size: int) -> int:
        """Return the width and height, in pixels, of the images that it will judge with a model of `model_size`."""

    def with_model(self, model: "NormalModel | None") -> Self:
        """Return the same detector, unfitted, with this customized model."""

    def explain_photos(self, photos: Sequence[Photo]) -> Explanation:
        """Return the explanation of at most `together` photos, read at `image_size`."""

    def explain_pixels(self, images: Tensor, keys: Sequence[str], without: int | None = None) -> Explanation:
        """Return the explanation of images (N, 3, S, S) in [0, 1] named by `keys`, without the reference `without`."""

    def described(self) -> list[str]:
        """Return one line on how it judges, and others on what its scores mean; raises NotFittedError before `fit`."""

    def save(self, folder: Path) -> None:
        """Write all that `predict` needs into `folder`."""
