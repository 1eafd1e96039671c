"""The results of a detection run, and their tables."""

import csv
import io
from dataclasses import asdict, dataclass

from normalgen.io.outputs import Outputs
from normalgen.io.records import row_line
from normalgen.report.detection_measures import DetectionMeasures

__all__ = ["DetectionRun", "Result", "write_tables"]


@dataclass(frozen=True)
class Result:
    """The result for one photo; an unreadable photo has only `file` and `error`.

    Attributes:
        file: path of the photo inside the folder of queries.
        score: higher is more anomalous.
        scores: score of each branch.
        rank: 1 is the most anomalous.
        verdict: "anomalous", "normal", or "" if only a ranking is supported.
        label: name of the photo's sub-folder; None if unknown.
        error: why the photo could not be read.
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
    """The results of a detection run.

    Attributes:
        results: worst photo first, unreadable photos last.
        measures: how well it did, if labels are known.
        references: how many photos are references; labelled ones were not measured.
    """

    results: tuple[Result, ...]
    measures: DetectionMeasures
    references: int = 0

    @property
    def errors(self) -> list[Result]:
        """The photos that could not be read."""
        return [result for result in self.results if result.error]


def write_tables(outputs: Outputs, run: DetectionRun) -> None:
    """Write `results.jsonl` and `results.csv`, with the photos' original names."""
    outputs.text("results.jsonl", "".join(row_line(asdict(result)).decode() for result in run.results))
    branches = [*(run.results[0].scores or {})]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "rank", "score", *branches, "verdict", "label", "error"])
    for row in run.results:
        parts = [(row.scores or {}).get(branch, "") for branch in branches]
        score = "" if row.error else row.score
        writer.writerow([row.file, row.rank or "", score, *parts, row.verdict, row.label or "", row.error])
    outputs.text("results.csv", table.getvalue())
