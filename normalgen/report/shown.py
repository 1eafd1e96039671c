"""What the page shows of one query."""

from dataclasses import dataclass

__all__ = ["Shown"]


@dataclass(frozen=True)
class Shown:
    """What the page says of one query; of an unreadable one only `name` and `error` matter.

    Attributes:
        name: of the file.
        score: of the whole query, higher is more anomalous.
        scores: the same by branch, such as {"p": 0.2, "n": 0.4, "text": 0.1}.
        rank: 1 is the most anomalous.
        verdict: "anomalous", "normal", or "" where only a ranking is supported.
        label: the sub-folder's name, such as "good" or "scratch"; None where unknown.
        error: why the query could not be judged; empty where it was.
    """

    name: str
    score: float
    scores: dict[str, float]
    rank: int
    verdict: str
    label: str | None
    error: str = ""
