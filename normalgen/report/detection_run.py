"""A run of detection as files: results, maps, twins, and a page to look at."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from normalgen.data.queries import GOOD, Queries
from normalgen.detectors.base import Explanation
from normalgen.detectors.conformal import Threshold
from normalgen.detectors.metrics import image_ap, image_auroc
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.errors import DataError
from normalgen.images.images import to_pil
from normalgen.io.outputs import Outputs, flat, picture, replacing
from normalgen.io.progress import Watch, silent
from normalgen.report.detection_page import write_page
from normalgen.report.pictures import overlay
from normalgen.report.shown import Shown

__all__ = ["MADE_BY", "DetectionRun", "Result", "detect"]

MADE_BY = "normalgen detect"


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
    """Results, worst first, unreadable photos last; `auroc` and `average_precision` where labels are known."""

    results: tuple[Result, ...]
    auroc: float | None
    average_precision: float | None

    @property
    def errors(self) -> list[Result]:
        """The photos that could not be read."""
        return [each for each in self.results if each.error]


def detect(
    detector: OneToNormal,
    queries: Queries,
    threshold: Threshold,
    folder: Path,
    *,
    title: str,
    save_maps: bool = False,
    watch: Watch = silent,
) -> DetectionRun:
    """Judge all queries and write `results.jsonl`, `results.csv`, `run.json`, `maps/`, `twins/` and `report.html`.

    A photo is decoded twice, to be judged and to be drawn, and no more than a batch of them is in memory.

    Args:
        detector: fitted.
        queries: photos; what cannot be read is named in the results.
        threshold: from scores to verdicts.
        folder: new, or of an earlier run, whose files give way.
        title: of the page.
        save_maps: also write each fused map as it is, float32 (H, W), to `maps/NAME.npy`.
        watch: told of the stages "detect" and "maps".

    Raises:
        DataError: not one photo can be read; or the folder holds other files, or is in use.
    """
    with replacing(folder, MADE_BY) as outputs:
        return _detect(detector, queries, threshold, outputs, title, save_maps, watch)


def _detect(
    detector: OneToNormal,
    queries: Queries,
    threshold: Threshold,
    outputs: Outputs,
    title: str,
    save_maps: bool,
    watch: Watch,
) -> DetectionRun:
    scores, maps, errors = _score(detector, queries, outputs, save_maps, watch)
    readable = queries.without(errors)
    results = _results(readable, scores, threshold)
    broken = [Result(name, error=message) for name, message in errors.items()]
    scale = _scale(maps, detector.left_out)
    run = DetectionRun((*sorted(results, key=lambda each: each.rank), *broken), *_measured(readable, scores["fused"]))
    _write_tables(outputs, run)
    settings = detector.settings() | {"rate": threshold.rate, "threshold": threshold.kind}
    value = {"threshold_value": threshold.value() if threshold.supported else None}
    measured = {"auroc": run.auroc, "average_precision": run.average_precision}
    outputs.record = {"settings": settings, "sentence": threshold.sentence()} | value | measured
    shown = _draw(readable, results, maps, scale, outputs, watch, twins="p" in settings["branches"])
    unread = (Shown(each.file, None, None, None, 0, {}, 0, "", None, each.error) for each in broken)
    write_page(
        outputs.path("report.html"),
        (each for part in (shown, unread) for each in part),
        title=title,
        facts=_measured_facts(run),
        threshold_text=threshold.sentence(),
        scale=scale,
        settings=_facts(settings),
    )
    return run


def _score(
    detector: OneToNormal, queries: Queries, outputs: Outputs, save_maps: bool, watch: Watch
) -> tuple[dict[str, Tensor], Tensor, dict[str, str]]:
    """Scores (N,) a branch and "fused", fused maps (N, H, W), and what could not be read.

    Twins, and maps where asked, are written as they are made.
    """
    found, maps, done, total = [], [], 0, len(queries.images)
    errors: dict[str, str] = {}
    watch("detect", 0, total)
    for some, unread in queries.batches(detector.settings()["size"], detector.batch):
        errors |= unread
        for each in detector.explain(some):
            _write_batch(each, some.names, outputs, save_maps)
            found.append(each.scores)
            maps.append(each.maps.half())
        done += len(some) + len(unread)
        watch("detect", done, total)
    if not found:
        raise DataError(f"none of {total} photos can be read: {next(iter(errors.values()))}")
    return {name: torch.cat([scores[name] for scores in found]) for name in found[0]}, torch.cat(maps), errors


def _write_batch(found: Explanation, names: list[str], outputs: Outputs, save_maps: bool) -> None:
    for name, twin in zip(names, found.twins if found.twins is not None else (), strict=False):
        outputs.png(f"twins/{picture(name)}", to_pil(twin))
    for name, values in zip(names, found.maps if save_maps else (), strict=False):
        outputs.array(f"maps/{flat(name)}.npy", values.float().cpu().numpy())


def _results(queries: Queries, scores: dict[str, Tensor], threshold: Threshold) -> list[Result]:
    fused = scores["fused"]
    ranks = torch.empty(len(fused), dtype=torch.long)
    ranks[fused.argsort(descending=True, stable=True)] = torch.arange(1, len(fused) + 1)
    verdicts = threshold.verdicts(fused)
    branches = [name for name in scores if name != "fused"]
    return [
        Result(
            file=name,
            score=round(float(fused[i]), 6),
            scores={branch: round(float(scores[branch][i]), 6) for branch in branches},
            rank=int(ranks[i]),
            verdict=verdicts[i],
            label=queries.labels[i],
        )
        for i, name in enumerate(queries.images.names)
    ]


def _measured(queries: Queries, scores: Tensor) -> tuple[float | None, float | None]:
    if not queries.labelled:
        return None, None
    known = [i for i, label in enumerate(queries.labels) if label is not None]
    labels = torch.tensor([int(queries.labels[i] != GOOD) for i in known])
    return image_auroc(labels, scores[known]), image_ap(labels, scores[known])


def _scale(maps: Tensor, left_out: Tensor) -> tuple[float, float]:
    """The colours' range: from the middle of all values to what stands out, at least what normal images reach."""
    values = maps.float().flatten()
    values = values[:: max(1, len(values) // 1_000_000)]
    low = float(values.median())
    return low, max(float(values.quantile(0.999)), float(left_out.max()), low + 1e-6)


def _draw(
    queries: Queries,
    results: list[Result],
    maps: Tensor,
    scale: tuple[float, float],
    outputs: Outputs,
    watch: Watch,
    *,
    twins: bool,
) -> Iterator[Shown]:
    """What the page shows; each map over its photo is written meanwhile."""
    for place, (result, query) in enumerate(zip(results, queries.images, strict=True)):
        outputs.png(f"maps/{picture(result.file)}", overlay(query, maps[place].float(), *scale))
        watch("maps", place + 1, len(results))
        path = outputs.folder / "twins" / picture(result.file)
        yield Shown(
            name=result.file,
            query=query,
            twin=Image.open(path).convert("RGB") if twins else None,
            anomaly_map=maps[place].float(),
            score=result.score,
            scores=result.scores or {},
            rank=result.rank,
            verdict=result.verdict,
            label=result.label,
        )


def _write_tables(outputs: Outputs, run: DetectionRun) -> None:
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


def _facts(settings: dict[str, Any]) -> list[tuple[str, str]]:
    shown = {
        name: value for name, value in settings.items() if value not in ("", None) and (name, value) != ("bank", 0)
    }
    shown["branches"] = ", ".join(settings["branches"])
    shown["weights"] = ", ".join(f"{name} {value:.2f}" for name, value in settings["weights"].items())
    if "model" in shown:
        shown["model"] = settings["model"][:12]
    return [(name.replace("_", " "), str(value)) for name, value in shown.items()]


def _measured_facts(run: DetectionRun) -> list[tuple[str, str]]:
    if run.auroc is None or run.average_precision is None:
        return []
    return [("image AUROC", f"{run.auroc:.3f}"), ("average precision", f"{run.average_precision:.3f}")]
