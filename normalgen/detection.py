"""A run of detection as files: results, maps, twins, and a page to look at."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from normalgen.errors import DataError
from normalgen.files import keep_only, write_json, write_whole
from normalgen.images import to_pil
from normalgen.metrics import image_ap, image_auroc
from normalgen.one_to_normal import Explanation, OneToNormal
from normalgen.pages import Shown, overlay, write_page
from normalgen.queries import GOOD, Queries
from normalgen.threshold import Threshold
from normalgen.watch import Watch, silent

__all__ = ["RUN", "Result", "Run", "detect"]

RUN = "run.json"


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
class Run:
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
) -> Run:
    """Judge all queries and write `results.jsonl`, `results.csv`, `run.json`, `maps/`, `twins/` and `report.html`.

    A photo is decoded twice, to be judged and to be drawn, and no more than a batch of them is in memory.

    Args:
        detector: fitted.
        queries: photos; what cannot be read is named in the results.
        threshold: from scores to verdicts.
        folder: of detections alone; gets the files, and loses those of an earlier run.
        title: of the page.
        save_maps: also write each fused map as it is, float32 (H, W), to `maps/NAME.npy`.
        watch: told of the stages "detect" and "maps".

    Raises:
        DataError: not one photo can be read.
    """
    scores, maps, errors = _score(detector, queries, folder, save_maps, watch)
    readable = queries.without(errors)
    results = _results(readable, scores, threshold)
    broken = [Result(name, error=message) for name, message in errors.items()]
    scale = _scale(maps, detector.left_out)
    run = Run((*sorted(results, key=lambda each: each.rank), *broken), *_measured(readable, scores["fused"]))
    _write_tables(folder, run)
    settings = detector.settings() | {"rate": threshold.rate, "threshold": threshold.kind}
    value = {"threshold_value": threshold.value() if threshold.supported else None}
    measured = {"auroc": run.auroc, "average_precision": run.average_precision}
    write_json(folder / RUN, {"settings": settings, "sentence": threshold.sentence()} | value | measured)
    shown = _draw(readable, results, maps, scale, folder, watch, twins="p" in settings["branches"])
    unread = (Shown(each.file, None, None, None, 0, {}, 0, "", None, each.error) for each in broken)
    write_page(
        folder / "report.html",
        (each for part in (shown, unread) for each in part),
        title=title,
        facts=_measured_facts(run),
        threshold_text=threshold.sentence(),
        scale=scale,
        settings=_facts(settings),
    )
    _drop_older(folder, [each.file for each in results], twins="p" in settings["branches"], arrays=save_maps)
    return run


def _drop_older(folder: Path, names: list[str], *, twins: bool, arrays: bool) -> None:
    """Remove an earlier run's maps and twins."""
    pictures = {_png(name) for name in names}
    keep_only(folder / "maps", pictures | ({f"{_flat(name)}.npy" for name in names} if arrays else set()))
    keep_only(folder / "twins", pictures if twins else set())


def _score(
    detector: OneToNormal, queries: Queries, folder: Path, save_maps: bool, watch: Watch
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
            _write_batch(each, some.names, folder, save_maps)
            found.append(each.scores)
            maps.append(each.maps.half())
        done += len(some) + len(unread)
        watch("detect", done, total)
    if not found:
        raise DataError(f"none of {total} photos can be read: {next(iter(errors.values()))}")
    return {name: torch.cat([scores[name] for scores in found]) for name in found[0]}, torch.cat(maps), errors


def _write_batch(found: Explanation, names: list[str], folder: Path, save_maps: bool) -> None:
    for name, twin in zip(names, found.twins if found.twins is not None else (), strict=False):
        _write_png(folder / "twins" / _png(name), to_pil(twin))
    for name, values in zip(names, found.maps if save_maps else (), strict=False):
        _write_array(folder / "maps" / f"{_flat(name)}.npy", values)


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
    folder: Path,
    watch: Watch,
    *,
    twins: bool,
) -> Iterator[Shown]:
    """What the page shows; each map over its photo is written meanwhile."""
    for place, (result, query) in enumerate(zip(results, queries.images, strict=True)):
        _write_png(folder / "maps" / _png(result.file), overlay(query, maps[place].float(), *scale))
        watch("maps", place + 1, len(results))
        path = folder / "twins" / _png(result.file)
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


def _write_tables(folder: Path, run: Run) -> None:
    lines = [json.dumps(asdict(each), ensure_ascii=False) for each in run.results]
    _write_text(folder / "results.jsonl", "\n".join(lines) + "\n")
    branches = [*(run.results[0].scores or {})]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "rank", "score", *branches, "verdict", "label", "error"])
    for each in run.results:
        parts = [(each.scores or {}).get(branch, "") for branch in branches]
        score = "" if each.error else each.score
        writer.writerow([each.file, each.rank or "", score, *parts, each.verdict, each.label or "", each.error])
    _write_text(folder / "results.csv", table.getvalue())


def _facts(settings: dict[str, Any]) -> list[tuple[str, str]]:
    shown = {
        name: value for name, value in settings.items() if value not in ("", None) and (name, value) != ("bank", 0)
    }
    shown["branches"] = ", ".join(settings["branches"])
    shown["weights"] = ", ".join(f"{name} {value:.2f}" for name, value in settings["weights"].items())
    if "model" in shown:
        shown["model"] = settings["model"][:12]
    return [(name.replace("_", " "), str(value)) for name, value in shown.items()]


def _measured_facts(run: Run) -> list[tuple[str, str]]:
    if run.auroc is None or run.average_precision is None:
        return []
    return [("image AUROC", f"{run.auroc:.3f}"), ("average precision", f"{run.average_precision:.3f}")]


def _flat(name: str) -> str:
    return name.replace("/", "__")


def _png(name: str) -> str:
    return f"{_flat(name)}.png"


def _write_png(path: Path, picture: Image.Image) -> None:
    write_whole(path, lambda partial: picture.save(partial, format="png"))


def _write_array(path: Path, values: Tensor) -> None:
    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            np.save(file, values.float().cpu().numpy())

    write_whole(path, write)


def _write_text(path: Path, text: str) -> None:
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))
