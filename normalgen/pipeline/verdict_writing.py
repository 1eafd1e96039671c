"""Judges photos with a fitted detector, and writes the results."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.io.notes import note
from normalgen.io.progress import Watch
from normalgen.pipeline.calibrating import threshold_of

if TYPE_CHECKING:
    from normalgen.data.queries import Queries
    from normalgen.detectors.base import JudgingDetector
    from normalgen.detectors.conformal import Threshold
    from normalgen.images.images import Images
    from normalgen.report.detection_results import DetectionRun

__all__ = ["Detection", "Judging", "first_results"]

FIRST_SIDE = 320
"""Longer side, in pixels, of the maps of first results, at most: that of the page's pictures."""


@dataclass(frozen=True)
class Detection:
    """The results of a detection run, with the detector and the threshold behind them.

    Attributes:
        run: the results, and AUROC if labels are known.
        folder: folder of the written files.
        detector: the fitted detector.
        threshold: turns scores into verdicts.
    """

    run: "DetectionRun"
    folder: Path
    detector: "JudgingDetector"
    threshold: "Threshold"


@dataclass(frozen=True)
class Judging:
    """Judges the photos and writes the results.

    Attributes:
        photos: to judge.
        unused: good photos to calibrate with; None if there are none.
        rate: share of good parts that may be called anomalous.
        folder: folder for the results.
        category: what the photos show.
        save_maps: also write raw maps.
    """

    photos: "Queries"
    unused: "Images | None"
    rate: float
    folder: Path
    category: str
    save_maps: bool

    @property
    def judged(self) -> "list[Queries]":
        """The photos that are judged, also those to calibrate with; none of them may be in the bank."""
        from normalgen.data.queries import Queries

        return [self.photos, *([] if self.unused is None else [Queries(self.unused, (None,) * len(self.unused))])]

    def write(self, detector: "JudgingDetector", map_size: int, watch: Watch, *, first: bool = False) -> Detection:
        """Write the results of a fitted detector; `first` says on the page that better ones follow."""
        from normalgen.report.detection_run import write_detection

        threshold, photos = threshold_of(detector, self.unused, self.rate, watch), self.photos
        if self.unused is not None:
            photos = photos.unmeasured(self.unused.hashes(), self.unused)
        run = write_detection(
            detector, photos, threshold, self.folder, self.category, self.save_maps, map_size, watch, first=first
        )
        return Detection(run, self.folder, detector, threshold)


@contextmanager
def first_results(judging: Judging, first: "JudgingDetector | None", map_size: int, watch: Watch) -> Iterator[None]:
    """Write the results of `first` before what is done inside replaces them; note it, also if that fails or is stopped.

    None writes and notes nothing.
    """
    if first is None:
        yield
        return
    from normalgen.report.detection_run import holds_first

    folder = judging.folder
    judging.write(first, min(map_size or FIRST_SIDE, FIRST_SIDE), watch, first=True)
    note(
        f"first results, from the references alone, are in {folder / 'report.html'}; a model or a pool is made now to "
        "refine them, which takes minutes"
    )
    try:
        yield
    except BaseException:
        if holds_first(folder):
            note(f"the first results stay in {folder}; the same command refines them")
        raise
