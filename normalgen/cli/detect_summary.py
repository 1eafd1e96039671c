"""What `normalgen detect` tells of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.cli.show import note, say, table

if TYPE_CHECKING:
    from normalgen.detectors.conformal import Threshold
    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.detectors.self_test import Proxy
    from normalgen.report.detection_results import DetectionRun, Result

__all__ = ["tell_of_files", "tell_of_method", "tell_of_proxy", "tell_of_worst"]

WORST = 10


def tell_of_worst(run: "DetectionRun") -> None:
    """The worst queries, as a table."""
    judged = [each for each in run.results if not each.error]
    worst = judged[:WORST]
    heads = ["rank", "score", *(worst[0].scores or {}), "verdict", "label", "file"]
    say(table(heads, [_row(each) for each in worst]))
    if len(judged) > len(worst):
        say(f"... and {len(judged) - len(worst)} more")


def _row(result: "Result") -> list[str]:
    values = [f"{value:.3f}" for value in (result.score, *(result.scores or {}).values())]
    return [str(result.rank), *values, result.verdict or "-", result.label or "-", result.file]


def tell_of_method(run: "DetectionRun", detector: "OneToNormal", threshold: "Threshold") -> None:
    """How was judged, what a verdict means, and how well it went where labels are known."""
    say(
        f"branches {','.join(detector.branches)}, {detector.features} features, {detector.fusion} fusion, "
        f"bank of {detector.settings()['bank_images']} images"
    )
    if detector.fusion == "calibrated":
        say(
            "score: the highest 1 % of the fused map, in deviations from normal; each branch's column is of its own map"
        )
    say(threshold.sentence())
    if run.references:
        note(
            f"{run.references} of the labelled photos are references: they are judged, but AUROC is measured without "
            "them"
        )
    if run.auroc is not None and run.average_precision is not None:
        say(f"labels known: image AUROC {run.auroc:.3f}, average precision {run.average_precision:.3f}")


def tell_of_proxy(found: "Proxy", references: int) -> None:
    """What the self-test measured on so many references."""
    overall, kinds = (
        ", ".join(f"{name} {value:.3f}" for name, value in part.items()) for part in (found.overall, found.by_kind)
    )
    say(f"self-test on {found.images} augmented references with and without drawn defects (a proxy, no real defects):")
    say(f"  AUROC by branch: {overall}")
    say(f"  fused, by kind:  {kinds}")
    if references == 1:
        say("  with one reference its own augmentations stand in for other good parts: expect less")


def tell_of_files(run: "DetectionRun", folder: Path) -> None:
    """Where the results are, and what could not be read."""
    say(f"  look at  {folder / 'report.html'}")
    say(f"  as data  {folder / 'results.jsonl'}, {folder / 'results.csv'}, {folder / 'maps'}")
    for each in run.errors:
        note(each.error)
    if run.errors:
        note(f"{len(run.errors)} of {len(run.results)} photos could not be read; the others are judged")
