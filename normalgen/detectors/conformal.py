"""From scores to verdicts, without a single defect: conformal prediction on normal images.

A query is called anomalous at rate r if p = (1 + number of calibration images that score as high) / (n + 1) <= r (Vovk
et al. 2005; Laxhammar and Falkman 2010). If queries and calibration images come from the same source, no more than a
share r of good parts is called anomalous, whatever the detector is: on average over draws of both, so that one draw of
few calibration images may give more.
With n calibration images the least rate is 1 / (n + 1).
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Threshold"]


@dataclass(frozen=True)
class Threshold:
    """Scores of normal images, and what may be concluded from them.

    Attributes:
        scores: of normal images (n,).
        rate: share of good parts that may be called anomalous.
        kind: "calibrated": images that the detector never saw; "approximate": left-out references and their
            augmentations, which are more alike than new photos are.
    """

    scores: Tensor
    rate: float
    kind: Literal["calibrated", "approximate"]

    @property
    def supported(self) -> bool:
        """Whether so few images can support the rate."""
        return self.rate * (len(self.scores) + 1) >= 1 - 1e-9

    def p_values(self, scores: Tensor) -> Tensor:
        """The share of normal images that score as high as each of `scores` (N,), at least 1 / (n + 1)."""
        as_high = (self.scores[None] >= scores[:, None]).sum(1)
        return (1 + as_high).double() / (len(self.scores) + 1)

    def verdicts(self, scores: Tensor) -> list[str]:
        """ "anomalous" or "normal" for each of `scores` (N,); "" where only a ranking is supported."""
        if not self.supported:
            return [""] * len(scores)
        return ["anomalous" if p <= self.rate + 1e-9 else "normal" for p in self.p_values(scores).tolist()]

    def value(self) -> float:
        """The score above which a query is anomalous; infinity where only a ranking is supported."""
        if not self.supported:
            return math.inf
        allowed = math.floor(self.rate * (len(self.scores) + 1) + 1e-9) - 1
        return float(torch.sort(self.scores, descending=True).values[allowed])

    @property
    def _what(self) -> str:
        return "views of left-out references" if self.kind == "approximate" else "photos"

    def sentence(self) -> str:
        """What is concluded from what, for people."""
        count = len(self.scores)
        if not self.supported:
            return (
                f"ranking only: {count} {self._what} cannot support {self.rate:.3g} (the least rate is 1 / "
                f"{count + 1}); calibrate with {math.ceil(1 / self.rate - 1e-9) - 1} good photos that are no "
                "references, or more"
            )
        if self.kind == "approximate":
            return (
                f"approximate: anomalous above {self.value():.3g}, which {self.rate:.3g} of left-out references "
                "and their augmentations exceed; new photos vary more, so more good parts may be called anomalous. "
                "Good photos that were not used (--calibrate) make it sound"
            )
        return (
            f"anomalous above {self.value():.3g}: of parts like the {count} calibration photos, at most a share "
            f"{self.rate:.3g} is called so on average"
        )
