"""What every detector is: fit on references and, if there is one, a pool; then score queries."""

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
    """A batch of queries as the detector sees them.

    Attributes:
        queries: (N, 3, S, S) in [0, 1].
        twins: (N, 3, S, S), the candidates most like their queries; None without branch p.
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
        """Learn what is normal; what was learned before is forgotten."""

    def predict(self, queries: Images) -> Prediction:
        """Score queries; those of this project also take what `normalgen.images.sources.as_images` takes.

        Raises:
            NotFittedError: before `fit`.
        """


@runtime_checkable
class ExplainingDetector(Detector, Protocol):
    """A detector that can also say how it came to its scores. Evaluations and reports show more of one that can."""

    @property
    def needs_model(self) -> bool:
        """Whether it makes twins, for which its constructor wants a customized model."""

    def check(self) -> None:
        """Check the settings, as far as that needs no network.

        Raises:
            PresetError: settings that cannot work.
        """

    def without_model(self) -> Self | None:
        """The same detector, unfitted, without what needs a model; None if nothing is left."""

    def explain(self, queries: Images) -> Iterator[Explanation]:
        """Everything that `predict` is made of, one batch at a time."""

    def trained_on(self, queries: Images) -> list[str]:
        """Names of the queries that the detector learned from: scores of those say nothing."""

    def settings(self) -> dict[str, Any]:
        """Every setting that a result depends on, as plain data."""
