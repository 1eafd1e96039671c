"""Judges the queries and writes the files of a detection run: results, maps, twins and a page."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch
from torch import Tensor

from normalgen.data.queries import GOOD, Queries, is_labelled, unmeasured
from normalgen.detectors.conformal import Threshold
from normalgen.detectors.metrics import image_ap, image_auroc
from normalgen.detectors.one_to_normal.detector import OneToNormal
from normalgen.errors import DataError
from normalgen.images.images import Photo, to_pil
from normalgen.io.atomic import named
from normalgen.io.outputs import Outputs, output_names, replacing
from normalgen.io.progress import Watch, silent
from normalgen.report.detection_page import Pictures, write_page
from normalgen.report.detection_results import DetectionRun, Result, write_tables
from normalgen.report.pictures import overlay
from normalgen.report.shown import Shown
from normalgen.report.spool import Span, Spool

__all__ = ["MADE_BY", "write_detection"]

MADE_BY = "normalgen detect"
FILES = ("results.jsonl", "results.csv", "report.html", "maps/*.png", "maps/*.npy", "twins/*.png")
"""Names of its files; a later run replaces them."""
DRAWN = 2048
"""Most pixels on the longer side of the photos under the maps, unless another size is asked."""
FULL, SAMPLED = 2**20, 1024
"""More pixels than any photo has on a side, and values per map, at most, that decide the range of the colours."""

UNSAID = (("bank", 0), ("features_size", 0))


@dataclass(frozen=True)
class _Waiting:
    """A photo and its map in the spool.

    Attributes:
        picture: span of the photo, reduced to the size of its drawn map.
        values: span of the map.
        shape: of the map (H, W).
    """

    picture: Span
    values: Span
    shape: tuple[int, int]


@dataclass
class _Judged:
    """The judged photos, in order, and one message per unreadable photo.

    Attributes:
        names: names of the photos.
        labels: None if unknown or ignored.
        waiting: photos and maps in the spool.
        scores: (N,) per branch, and "fused", batch by batch.
        values: up to 1024 values of each map, evenly spread over it.
        errors: messages by name.
        references: how many labels were ignored because the photos are references.
    """

    names: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    waiting: list[_Waiting] = field(default_factory=list)
    scores: list[dict[str, Tensor]] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    references: int = 0

    def joined(self) -> dict[str, Tensor]:
        """Return the scores (N,) per branch, and "fused"."""
        return {name: torch.cat([scores[name] for scores in self.scores]) for name in self.scores[0]}


def write_detection(
    detector: OneToNormal,
    queries: Queries,
    threshold: Threshold,
    folder: Path,
    category: str,
    save_maps: bool = False,
    map_size: int = DRAWN,
    watch: Watch = silent,
) -> DetectionRun:
    """Judge all queries and write `results.jsonl`, `results.csv`, `run.json`, `maps/`, `twins/` and `report.html`.

    Each photo is read and decoded once. At most one batch is in memory, with each photo reduced to `map_size`, except
    the photo being read. Photos and maps to draw later wait in a temporary file in `folder`.

    Args:
        detector: a fitted detector.
        queries: photos; the results name unreadable ones.
        threshold: turns scores into verdicts.
        folder: a new folder, or one of an earlier run, whose files are replaced.
        category: what the photos show, for the title of the page.
        save_maps: also write each raw fused map, float32 (H, W), to `maps/NAME.npy`.
        map_size: longer side, in pixels, of a map drawn over its photo, at most; 0 draws it as large as the photo.
        watch: receives the progress of "detect" and "maps".

    Raises:
        DataError: no photo can be read; or the folder holds other files, or is in use.
    """
    title = f"{category}: {len(queries.images)} photos"
    names = output_names(queries.images.names)
    with replacing(folder, MADE_BY, FILES) as outputs, named(folder), TemporaryFile(dir=folder) as waiting:
        spool = Spool(waiting)
        files = _Files(outputs, names, spool, Pictures(spool), save_maps=save_maps)
        judged = _judge(detector, queries, files, map_size or FULL, watch)
        return _finish(detector, judged, threshold, files, title, watch)


@dataclass(frozen=True)
class _Files:
    """Writes the files of a run.

    Attributes:
        outputs: the folder of results.
        names: file name for each photo's name.
        spool: stores photos until maps are drawn on them.
        pictures: pictures for the page.
        save_maps: whether to write raw maps.
    """

    outputs: Outputs
    names: dict[str, str]
    spool: Spool
    pictures: Pictures
    save_maps: bool

    def take(self, photo: Photo, twin: Tensor | None, values: Tensor) -> _Waiting:
        """Write a photo's twin, and its raw map if asked; return where the spool keeps the photo and its map."""
        if photo.picture is None:
            raise ValueError(f"the photo {photo.name} has no picture; read it with a side")
        name, drawn = self.names[photo.name], None if twin is None else to_pil(twin)
        if drawn is not None:
            self.outputs.png(f"twins/{name}.png", drawn)
        if self.save_maps:
            self.outputs.array(f"maps/{name}.npy", values.float().cpu().numpy())
        self.pictures.add_query(photo.name, photo.picture, drawn)
        rows, columns = values.shape
        picture, spooled = self.spool.put_picture(photo.picture), self.spool.put_map(values.half().cpu().numpy())
        return _Waiting(picture, spooled, (rows, columns))

    def draw(self, name: str, waiting: _Waiting, scale: tuple[float, float]) -> None:
        """Draw the map over the photo, both from the spool, and write it."""
        values = torch.from_numpy(self.spool.get_map(waiting.values, waiting.shape))
        drawn = overlay(self.spool.get_picture(waiting.picture), values, *scale)
        self.outputs.png(f"maps/{self.names[name]}.png", drawn)
        self.pictures.add_map(name, drawn)


def _judge(detector: OneToNormal, queries: Queries, files: _Files, side: int, watch: Watch) -> _Judged:
    """Read and judge all photos; writes twins, and raw maps if asked, along the way."""
    judged, done, total = _Judged(), 0, len(queries.images)
    labels = dict(zip(queries.images.names, queries.labels, strict=True))
    watch("detect", 0, total)
    size, whole = detector.settings()["size"], detector.tile > 0
    knows = queries.knows(size) if any(label is not None for label in queries.labels) else None
    for photos, unread in queries.batches(size, detector.together, side, whole=whole):
        judged.errors |= unread
        if photos:
            _judge_batch(detector, photos, files, judged)
        for photo in photos:
            label = labels[photo.name]
            passed = knows is not None and label is not None and knows(photo)
            judged.labels.append(None if passed else label)
            judged.references += passed
        done += len(photos) + len(unread)
        watch("detect", done, total)
    if not judged.names:
        raise DataError(f"none of {total} photos can be read: {next(iter(judged.errors.values()))}")
    return judged


def _judge_batch(detector: OneToNormal, photos: list[Photo], files: _Files, judged: _Judged) -> None:
    batch = detector.explain_photos(photos)
    twins = batch.twins if batch.twins is not None else [None] * len(photos)
    for photo, twin, values in zip(photos, twins, batch.maps, strict=True):
        judged.names.append(photo.name)
        judged.waiting.append(files.take(photo, twin, values))
        flat = values.half().flatten()
        judged.values.append(flat[:: math.ceil(len(flat) / SAMPLED)])
    judged.scores.append(batch.scores)


def _finish(
    detector: OneToNormal, judged: _Judged, threshold: Threshold, files: _Files, title: str, watch: Watch
) -> DetectionRun:
    """Decide the verdicts, and write tables, maps and the page."""
    outputs, scores = files.outputs, judged.joined()
    results = _results(judged, scores, threshold)
    broken = [Result(name, error=message) for name, message in judged.errors.items()]
    ranked, measured = sorted(results, key=lambda result: result.rank), _measured(judged.labels, scores["fused"])
    run = DetectionRun((*ranked, *broken), *measured, judged.references, unmeasured(judged.labels))
    write_tables(outputs, run)
    settings = detector.settings() | {"rate": threshold.rate, "threshold": threshold.kind}
    value = {"threshold_value": threshold.value() if threshold.supported else None}
    facts = {"auroc": run.auroc, "average_precision": run.average_precision}
    reasons = {} if threshold.supported else {"threshold_value": threshold.sentence()}
    if run.auroc is None:
        reasons |= dict.fromkeys(facts, run.unmeasured or "there are no labels of good and of other photos")
    outputs.record = {"settings": settings, "sentence": threshold.sentence()} | value | facts | {"reasons": reasons}
    scale = _scale(torch.cat(judged.values), detector.left_out)
    for index, (name, waiting) in enumerate(zip(judged.names, judged.waiting, strict=True)):
        files.draw(name, waiting, scale)
        watch("maps", index + 1, len(results))
    write_page(
        outputs.path("report.html"),
        map(_shown, run.results),
        files.pictures,
        title=title,
        facts=_measured_facts(run),
        threshold_text=threshold.sentence(),
        scale=scale,
        settings=_facts(settings),
    )
    return run


def _results(judged: _Judged, scores: dict[str, Tensor], threshold: Threshold) -> list[Result]:
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
            label=judged.labels[i],
        )
        for i, name in enumerate(judged.names)
    ]


def _measured(labels: list[str | None], scores: Tensor) -> tuple[float | None, float | None]:
    if not is_labelled(labels):
        return None, None
    known = [i for i, label in enumerate(labels) if label is not None]
    anomalous = torch.tensor([int(labels[i] != GOOD) for i in known])
    return image_auroc(anomalous, scores[known]), image_ap(anomalous, scores[known])


def _scale(values: Tensor, left_out: Tensor) -> tuple[float, float]:
    """Return the range of the colours: the median to the 99.9 % quantile, or the highest left-out value if higher."""
    values = values.float()
    values = values[:: max(1, len(values) // 1_000_000)]
    low = float(values.median())
    return low, max(float(values.quantile(0.999)), float(left_out.max()), low + 1e-6)


def _shown(result: Result) -> Shown:
    return Shown(
        name=result.file,
        score=result.score,
        scores=result.scores or {},
        rank=result.rank,
        verdict=result.verdict,
        label=result.label,
        error=result.error,
    )


def _facts(settings: dict[str, Any]) -> list[tuple[str, str]]:
    facts = {name: value for name, value in settings.items() if value not in ("", None) and (name, value) not in UNSAID}
    facts["branches"] = ", ".join(settings["branches"])
    facts["weights"] = ", ".join(f"{name} {value:.2f}" for name, value in settings["weights"].items())
    if "model" in facts:
        facts["model"] = settings["model"][:12]
    return [(name.replace("_", " "), str(value)) for name, value in facts.items()]


def _measured_facts(run: DetectionRun) -> list[tuple[str, str]]:
    if run.auroc is None or run.average_precision is None:
        return [("image AUROC", f"not measured: {run.unmeasured}")] if run.unmeasured else []
    return [("image AUROC", f"{run.auroc:.3f}"), ("average precision", f"{run.average_precision:.3f}")]
