"""One query on the page."""

from dataclasses import dataclass

__all__ = ["Shown"]


@dataclass(frozen=True)
class Shown:
    """One query on the page; for an unreadable query only `name` and `error` matter.

    Attributes:
        name: name of the file.
        score: score of the whole query; higher is more anomalous.
        scores: scores by branch, such as {"p": 0.2, "n": 0.4, "text": 0.1}.
        rank: 1 is the most anomalous.
        verdict: "anomalous", "normal", or "" if only a ranking is supported.
        label: name of the sub-folder, such as "good" or "scratch"; None if unknown.
        error: why the query could not be judged; "" if it was.
    """

    name: str
    score: float
    scores: dict[str, float]
    rank: int
    verdict: str
    label: str | None
    error: str = ""
