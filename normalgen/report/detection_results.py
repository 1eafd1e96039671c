"""What a run of detection says of each photo, and its tables."""

import csv
import io
import json
from dataclasses import asdict, dataclass

from normalgen.io.outputs import Outputs

__all__ = ["DetectionRun", "Result", "write_tables"]


@dataclass(frozen=True)
class Result:
    """What is said of one photo; an unreadable one has an error and nothing else.

    Attributes:
        file: its path inside the folder of queries.
        score: higher is more anomalous.
        scores: of each branch.
        rank: 1 is the most anomalous.
        verdict: "anomalous", "normal", or "" where only a ranking is supported.
        label: what its sub-folder says.
        error: why it could not be read.
    """

    file: str
    score: float = 0.0
    scores: dict[str, float] | None = None
    rank: int = 0
    verdict: str = ""
    label: str | None = None
    error: str = ""


@dataclass(frozen=True)
class DetectionRun:
    """Results of a run.

    Attributes:
        results: worst first, unreadable photos last.
        auroc: None where labels are not known; as `average_precision`.
        average_precision: of the fused scores.
        references: how many photos' labels were passed over, because they are references.
    """

    results: tuple[Result, ...]
    auroc: float | None
    average_precision: float | None
    references: int = 0

    @property
    def errors(self) -> list[Result]:
        """The photos that could not be read."""
        return [each for each in self.results if each.error]


def write_tables(outputs: Outputs, run: DetectionRun) -> None:
    """Write `results.jsonl` and `results.csv`; photos keep their own names there."""
    lines = [json.dumps(asdict(each), ensure_ascii=False) for each in run.results]
    outputs.text("results.jsonl", "\n".join(lines) + "\n")
    branches = [*(run.results[0].scores or {})]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "rank", "score", *branches, "verdict", "label", "error"])
    for each in run.results:
        parts = [(each.scores or {}).get(branch, "") for branch in branches]
        score = "" if each.error else each.score
        writer.writerow([each.file, each.rank or "", score, *parts, each.verdict, each.label or "", each.error])
    outputs.text("results.csv", table.getvalue())
