"""Prints the summary of `normalgen detect`."""

from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.cli.show import note, say, say_table

if TYPE_CHECKING:
    from normalgen.detectors.self_test import Proxy
    from normalgen.pipeline.verdict_writing import Detection
    from normalgen.report.detection_measures import DetectionMeasures
    from normalgen.report.detection_results import DetectionRun, Result

__all__ = ["show", "show_proxy"]

WORST = 10


def show(detection: "Detection") -> None:
    """Print the worst photos, how they were judged and how well, and where the files are."""
    _show_worst(detection.run)
    _show_method(detection)
    _show_files(detection.run, detection.folder)


def _show_worst(run: "DetectionRun") -> None:
    """Print the worst queries as a table."""
    judged = [result for result in run.results if not result.error]
    worst = judged[:WORST]
    heads = ["rank", "score", *(worst[0].scores or {}), "verdict", "label", "file"]
    say_table(heads, [_row(result) for result in worst])
    if len(judged) > len(worst):
        say(f"... and {len(judged) - len(worst)} more")


def _row(result: "Result") -> list[str]:
    values = [f"{value:.3f}" for value in (result.score, *(result.scores or {}).values())]
    return [str(result.rank), *values, result.verdict or "-", result.label or "-", result.file]


def _show_method(detection: "Detection") -> None:
    """Print how the photos were judged, what a verdict means, and how well that worked if labels are known."""
    run = detection.run
    for line in detection.detector.described():
        say(line)
    say(detection.threshold.sentence())
    if run.references:
        known = "are references or calibration photos, or copies of them"
        note(f"{run.references} of the photos {known}: their scores say nothing, and AUROC leaves them out")
    _show_measures(run.measures)


def _show_measures(measures: "DetectionMeasures") -> None:
    """Print what labels and masks say, or why they say nothing."""
    if measures.auroc is not None and measures.average_precision is not None:
        say(f"labels known: image AUROC {measures.auroc:.3f}, average precision {measures.average_precision:.3f}")
    elif measures.unmeasured:
        say(f"no AUROC: {measures.unmeasured}")
    if measures.confusion is not None:
        say(f"at the threshold: {measures.confusion.sentence()}")
    if measures.pixel_auroc is not None and measures.aupro is not None:
        say(f"masks known: pixel AUROC {measures.pixel_auroc:.3f}, AUPRO {measures.aupro:.3f}")
    elif measures.unmeasured_pixels:
        say(f"no pixel AUROC: {measures.unmeasured_pixels}")


def show_proxy(proxy: "Proxy", references: int) -> None:
    """Print the result of the self-test; `references` is how many references there were."""
    overall, kinds = (
        ", ".join(f"{name} {value:.3f}" for name, value in part.items()) for part in (proxy.overall, proxy.by_kind)
    )
    say(f"self-test on {proxy.images} augmented references with and without drawn defects (a proxy, no real defects):")
    say(f"  AUROC by branch: {overall}")
    say(f"  fused, by kind:  {kinds}")
    if references == 1:
        say("  with one reference, its own augmentations stand in for other good parts: expect less on real parts")


def _show_files(run: "DetectionRun", folder: Path) -> None:
    """Print where the results are, and which photos could not be read."""
    say(f"  report  {folder / 'report.html'}")
    say(f"  data    {folder / 'results.jsonl'}, {folder / 'results.csv'}, {folder / 'maps'}")
    for result in run.errors:
        note(result.error)
    if run.errors:
        note(f"{len(run.errors)} of {len(run.results)} photos could not be read; the rest were judged")
