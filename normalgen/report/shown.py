"""What the page shows of one query."""

from dataclasses import dataclass

from PIL import Image
from torch import Tensor

__all__ = ["Shown"]


@dataclass(frozen=True)
class Shown:
    """One query as people see it; of an unreadable one only `name` and `error` matter.

    Attributes:
        name: of the file.
        query: RGB at its native resolution; None where it could not be read.
        twin: the normal image restored from the query, of any size; None without one.
        anomaly_map: (h, w), higher is more anomalous, at the detector's resolution; None where there is none.
        score: of the whole query, higher is more anomalous.
        scores: the same by branch, such as {"p": 0.2, "n": 0.4, "text": 0.1}.
        rank: 1 is the most anomalous.
        verdict: "anomalous", "normal", or "" where only a ranking is supported.
        label: the sub-folder's name, such as "good" or "scratch"; None where unknown.
        error: why the query could not be judged; empty where it was.
    """

    name: str
    query: Image.Image | None
    twin: Image.Image | None
    anomaly_map: Tensor | None
    score: float
    scores: dict[str, float]
    rank: int
    verdict: str
    label: str | None
    error: str = ""
