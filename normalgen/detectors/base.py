"""What every detector is: fit on references and, if there is one, a pool; then score queries."""

from dataclasses import dataclass
from typing import Protocol, Self

from torch import Tensor

from normalgen.images.images import Images
from normalgen.pool.dataset import Pool
from normalgen.references import References

__all__ = ["Detector", "Explanation", "Prediction"]


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
        twins: (N, 3, S, S), the candidates most like their queries; None without the branch p.
        scores: (N,) a branch, and "fused".
        maps: (N, H, W), fused, on the finest grid.
        branch_maps: (N, H, W) a branch.
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
        """Score queries.

        Raises:
            NotFittedError: before `fit`.
        """
