"""Turns scores into verdicts without any defect: conformal prediction on normal images.

A query is called anomalous at rate r if p = (1 + number of calibration images that score as high) / (n + 1) <= r (Vovk
et al. 2005; Laxhammar and Falkman 2010). If queries and calibration images come from the same source, at most a share
r of good parts is called anomalous, for any detector. This holds on average over draws of both: one draw of few
calibration images may exceed it.
With n calibration images the lowest rate is 1 / (n + 1).
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Threshold"]


@dataclass(frozen=True)
class Threshold:
    """Scores of normal images, and the verdicts that they support.

    Attributes:
        scores: (n,), scores of normal images.
        rate: share of good parts that may be called anomalous.
        kind: "calibrated" for images that the detector never saw; "approximate" for left-out references and their
            augmentations, which vary less than new photos.
    """

    scores: Tensor
    rate: float
    kind: Literal["calibrated", "approximate"]

    @property
    def supported(self) -> bool:
        """Whether there are enough images to support the rate."""
        return self.rate * (len(self.scores) + 1) >= 1 - 1e-9

    def p_values(self, scores: Tensor) -> Tensor:
        """Return for each of `scores` (N,) the share of normal images that score as high, at least 1 / (n + 1)."""
        as_high = (self.scores[None] >= scores[:, None]).sum(1)
        return (1 + as_high).double() / (len(self.scores) + 1)

    def verdicts(self, scores: Tensor) -> list[str]:
        """Return "anomalous" or "normal" for each of `scores` (N,); "" if only a ranking is supported."""
        if not self.supported:
            return [""] * len(scores)
        return ["anomalous" if p <= self.rate + 1e-9 else "normal" for p in self.p_values(scores).tolist()]

    def value(self) -> float:
        """Return the score above which a query is anomalous; infinity if only a ranking is supported."""
        if not self.supported:
            return math.inf
        allowed = math.floor(self.rate * (len(self.scores) + 1) + 1e-9) - 1
        return float(torch.sort(self.scores, descending=True).values[allowed])

    @property
    def _what(self) -> str:
        return "views of left-out references" if self.kind == "approximate" else "photos"

    def sentence(self) -> str:
        """Return one sentence for people: the threshold, and how far to trust it."""
        count = len(self.scores)
        if not self.supported:
            return (
                f"ranking only: {count} {self._what} cannot support {self.rate:.3g} (the lowest rate is 1 / "
                f"{count + 1}); calibrate with {math.ceil(1 / self.rate - 1e-9) - 1} or more good photos "
                "that are not references"
            )
        if self.kind == "approximate":
            return (
                f"approximate: anomalous above {self.value():.3g}, which {self.rate:.3g} of left-out references "
                "and their augmentations exceed; new photos vary more, so more good parts may be called anomalous. "
                "For a reliable threshold, pass unused good photos with --calibrate"
            )
        return (
            f"anomalous above {self.value():.3g}: on average, at most a share {self.rate:.3g} of parts like the "
            f"{count} calibration photos is called anomalous"
        )
