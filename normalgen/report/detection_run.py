"""Judges the queries and writes the files of a detection run: results, maps, twins and a page."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch
from torch import Tensor

from normalgen.data.queries import Queries
from normalgen.detectors.base import JudgingDetector
from normalgen.detectors.conformal import Threshold
from normalgen.io.atomic import named
from normalgen.io.outputs import RUN, output_names, replacing
from normalgen.io.progress import Watch, silent
from normalgen.io.records import read_json
from normalgen.report.detection_measures import measure
from normalgen.report.detection_page import Pictures, write_page
from normalgen.report.detection_results import DetectionRun, Result, write_tables
from normalgen.report.judging import DetectionFiles, Judged, judge
from normalgen.report.shown import Shown
from normalgen.report.spool import Spool

__all__ = ["MADE_BY", "holds_first", "write_detection"]

MADE_BY = "normalgen detect"
FILES = ("results.jsonl", "results.csv", "report.html", "maps/*.png", "maps/*.npy", "twins/*.png")
"""Names of its files; a later run replaces them."""
DRAWN = 2048
"""Most pixels on the longer side of the photos under the maps, unless another size is asked."""
FULL = 2**20
"""More pixels than any photo has on a side."""
FIRST = (
    "First results, from the references alone. A model or a pool is being made; then the final results replace this "
    "page. If that was stopped, run the same command again."
)

UNSAID = (("bank", 0), ("features_size", 0))


def write_detection(
    detector: JudgingDetector,
    queries: Queries,
    threshold: Threshold,
    folder: Path,
    category: str,
    save_maps: bool = False,
    map_size: int = DRAWN,
    watch: Watch = silent,
    *,
    first: bool = False,
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
        first: whether the page and the record say that better results follow.

    Raises:
        DataError: no photo can be read; or the folder holds other files, or is in use.
    """
    title = f"{category}: {len(queries.images)} photos"
    names = output_names(queries.images.names)
    with replacing(folder, MADE_BY, FILES) as outputs, named(folder), TemporaryFile(dir=folder) as waiting:
        spool = Spool(waiting)
        files = DetectionFiles(outputs, names, spool, Pictures(spool), save_maps=save_maps)
        judged = judge(detector, queries, files, map_size or FULL, watch)
        return _finish(detector, queries, judged, threshold, files, title, watch, first)


def holds_first(folder: Path) -> bool:
    """Return whether the results in `folder` are whole, and first results."""
    record = read_json(folder / RUN, dict[str, Any], "remove it")
    return record is not None and bool(record.get("first"))


def _finish(
    detector: JudgingDetector,
    queries: Queries,
    judged: Judged,
    threshold: Threshold,
    files: DetectionFiles,
    title: str,
    watch: Watch,
    first: bool,
) -> DetectionRun:
    """Decide the verdicts, and write tables, maps and the page."""
    outputs, scores = files.outputs, judged.joined()
    results = _results(judged, scores, threshold)
    broken = [Result(name, error=message) for name, message in judged.errors.items()]
    marked, maps = judged.marked(queries), map(files.map, judged.labelled())
    measures = measure(judged.labels, scores["fused"], [result.verdict for result in results], marked, maps)
    run = DetectionRun((*sorted(results, key=lambda result: result.rank), *broken), measures, judged.references)
    write_tables(outputs, run)
    settings = detector.settings() | {"rate": threshold.rate, "threshold": threshold.kind}
    undecided = "" if threshold.supported else threshold.sentence()
    facts = measures.record(undecided)
    facts["reasons"] |= {"threshold_value": undecided} if undecided else {}
    value = None if undecided else threshold.value()
    said = {"first": first, "sentence": threshold.sentence(), "threshold_value": value}
    outputs.record = {"settings": settings, **said, **facts}
    scale = _scale(torch.cat(judged.values), detector.left_out)
    for index, (name, waiting) in enumerate(zip(judged.names, judged.waiting, strict=True)):
        files.draw(name, waiting, scale)
        watch("maps", index + 1, len(results))
    write_page(
        outputs.path("report.html"),
        map(_shown, run.results),
        files.pictures,
        title=title,
        facts=measures.facts(),
        threshold_text=threshold.sentence(),
        notice_text=FIRST if first else "",
        weights=settings.get("weights"),
        scale=scale,
        settings=_facts(settings),
    )
    return run


def _results(judged: Judged, scores: dict[str, Tensor], threshold: Threshold) -> list[Result]:
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


def _scale(values: Tensor, left_out: Tensor) -> tuple[float, float]:
    """Return the range of the colours: the median to the 99.9 % quantile, or the highest left-out value if higher."""
    values = values.float()
    values = values[:: max(1, len(values) // 1_000_000)]
    low = float(values.median())
    highest = left_out.max() if len(left_out) else low
    return low, max(float(values.quantile(0.999)), float(highest), low + 1e-6)


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
    if "branches" in facts:
        facts["branches"] = ", ".join(settings["branches"])
        facts["weights"] = ", ".join(f"{name} {value:.2f}" for name, value in settings["weights"].items())
    if "model" in facts:
        facts["model"] = settings["model"][:12]
    return [(name.replace("_", " "), str(value)) for name, value in facts.items()]
