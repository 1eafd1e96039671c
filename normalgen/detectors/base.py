"""The detector protocol: fit on references and an optional pool, then score queries."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor

from normalgen.images.images import Images
from normalgen.pool.dataset import Pool
from normalgen.references import References

__all__ = ["Detector", "ExplainingDetector", "Explanation", "Prediction"]


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
