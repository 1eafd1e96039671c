"""Finds anomalies: makes a missing model or pool, fits the detector, judges the photos, writes the results."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError
from normalgen.io.devices import pick_device
from normalgen.io.notes import note
from normalgen.io.progress import Watch, progress_bars
from normalgen.pipeline.calibration import calibration_photos, threshold_of
from normalgen.pipeline.folders import check_apart, queries_from, target_folder
from normalgen.pipeline.make import Settings
from normalgen.pipeline.preparation import Preparation, pool_folder
from normalgen.settings.presets import preset as preset_called

if TYPE_CHECKING:
    from normalgen.data.labels import LabelNames
    from normalgen.data.queries import Queries
    from normalgen.detectors.conformal import Threshold
    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.detectors.one_to_normal.triplet import Choice, Fusion
    from normalgen.images.images import Images
    from normalgen.images.sources import ImageSource
    from normalgen.pool.dataset import Pool
    from normalgen.references import References
    from normalgen.report.detection_results import DetectionRun

__all__ = ["Detection", "default_detector", "detect"]

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
    detector: "OneToNormal"
    threshold: "Threshold"


def detect(
    queries: "ImageSource",
    references: "References | None" = None,
    folder: str | Path | None = None,
    *,
    detector: "OneToNormal | str | Path | None" = None,
    pool: "Pool | str | Path | None" = None,
    n: int = 24,
    model: str | Path | None = None,
    preset: str = "tiny",
    settings: Settings | None = None,
    unlabeled: "ImageSource | None" = None,
    contamination: float | None = None,
    calibrate: str | Path | None = None,
    rate: float = 0.05,
    labels: "LabelNames | None" = None,
    save_maps: bool = False,
    map_size: int = 2048,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> Detection:
    """Find anomalies in photos with One-to-Normal (Li et al., NeurIPS 2024), fitted on the references and a pool.

    If a model or a pool must be made first, which takes minutes, first results from the references alone are written to
    `folder` before; the final ones replace them. What was learned is cached, so the same call again learns nothing.

    Args:
        queries: a folder, also with labelled sub-folders; one photo; PIL images; or an array (N, H, W, 3) of uint8.
        references: the k photos; not needed with a fitted detector. If they are in tiles, so are the queries.
        folder: folder for the results, maps, twins and a page; default: detections/CATEGORY.
        detector: an unfitted detector with its settings, a fitted one, or the folder of a saved one.
        pool: added to the bank; default: pools/CATEGORY, made with `n` images if it does not exist.
        n: how many images the pool should have; 0 makes no pool.
        model: folder of the model, made if missing, as for `generate_pool`.
        preset: as for `customize`.
        settings: as for `customize`.
        unlabeled: more photos, most of them good: a new pool gets those that a screening keeps.
        contamination: as for `normalgen.screen`.
        calibrate: folder of more good photos, none of them a reference. They make the verdicts sound.
        rate: share of good parts that may be called anomalous, in (0, 0.5].
        labels: which sub-folders are normal or anomalous.
        save_maps: also write each map as float32 .npy.
        map_size: longer side, in pixels, of the maps drawn over photos, at most; 0 draws them as large as the photos.
        seed: decides every draw.
        device: as for `customize`.
        progress: show a bar.

    Raises:
        DataError, PresetError: no photos; too few to calibrate with; a model, pool or folder of others; bad settings.
    """
    chosen = _opened(detector, preset, seed, device := pick_device(device))
    photos, category = _queries(queries, chosen, references, labels), _category(chosen, references)
    target, model_folder = _target(queries, folder, category), target_folder(model, "models", category)
    bank = pool_folder(pool, category)
    unused = calibration_photos(calibrate, photos, [bank, model_folder], rate)
    given = {"seed": seed, "device": device, "unlabeled": unlabeled, "contamination": contamination, "judged": photos}
    work = _preparation(None if chosen.is_fitted else references, preset, settings, model_folder, given)
    _note_hidden(photos.images, chosen, references, work)
    judging = _Judging(photos, unused, rate, target, category, save_maps)
    with progress_bars(progress) as watch:
        if work is None:
            return judging.write(chosen, map_size, watch)
        with _first_results(judging, work.first(chosen, pool, bank, n, watch), map_size, watch):
            return judging.write(work.fit(chosen, pool, bank, n, watch), map_size, watch)


@dataclass(frozen=True)
class _Judging:
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

    def write(self, detector: "OneToNormal", map_size: int, watch: Watch, *, first: bool = False) -> Detection:
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
def _first_results(judging: _Judging, first: "OneToNormal | None", map_size: int, watch: Watch) -> Iterator[None]:
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


def default_detector(
    preset: str,
    *,
    features: str = "",
    branches: tuple[str, ...] = ("p", "n"),
    fusion: "Fusion | None" = None,
    text: str = "",
    choice: "Choice" = "ssim",
    size: int = 0,
    seed: int = 0,
    device: str = "cpu",
) -> "OneToNormal":
    """Return an unfitted One-to-Normal detector with these settings; the preset supplies the rest.

    With `size` above the features' own, they look at that many pixels.

    Raises:
        PresetError: the settings cannot work.
    """
    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.io.cache import user_cache

    paper = preset == "paper"
    detector = OneToNormal(
        features=features or ("embedded" if preset == "tiny" else "clip"),
        features_size=size,
        branches=branches,
        fusion=fusion or ("paper" if paper else "calibrated"),
        choice=choice,
        bank=30 if paper else 0,
        text=text,
        seed=seed,
        device=device,
        cache=user_cache("twins"),
    )
    detector.check()
    return detector


def _opened(detector: "OneToNormal | str | Path | None", preset: str, seed: int, device: str) -> "OneToNormal":
    """Return the given detector, the one loaded from a folder, or the preset's default."""
    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.io.cache import user_cache

    if detector is None:
        return default_detector(preset, seed=seed, device=device)
    if isinstance(detector, OneToNormal):
        return detector
    return OneToNormal.load(Path(detector), device=device, cache=user_cache("twins"))


def _preparation(
    references: "References | None", preset: str, settings: Settings | None, folder: Path, given: dict[str, Any]
) -> Preparation | None:
    """Return what makes model and pool from the references; None without references."""
    if references is None:
        return None
    return Preparation(references, preset_called(preset), settings or {}, folder, **given)


def _category(detector: "OneToNormal", references: "References | None") -> str:
    """Return the category of the references, or else of the references that the detector was fitted on.

    Raises:
        DataError: there are neither references nor a fitted detector.
    """
    if references is not None:
        return references.category
    if not detector.is_fitted:
        raise DataError("a detector needs references: name a folder of good photos, or a fitted detector")
    return detector.trained_from.category


def _target(source: "ImageSource", folder: str | Path | None, category: str) -> Path:
    """Return the folder for the results, checked before any work.

    Raises:
        DataError: it contains the photos, or other files.
    """
    from normalgen.io.outputs import see_free
    from normalgen.report.detection_run import MADE_BY

    target = target_folder(folder, "detections", category)
    check_apart(source, target)
    see_free(target, MADE_BY)
    return target


def _queries(
    source: "ImageSource", detector: "OneToNormal", references: "References | None", said: "LabelNames | None"
) -> "Queries":
    """Return the photos to judge, cropped like the references; labels of references among them do not count."""
    if references is not None:
        images = references.images
        return queries_from(source, images.crop, said).unmeasured(images.hashes(), images)
    training = detector.trained_from
    return queries_from(source, training.crop, said).unmeasured(training.references)


def _note_hidden(
    photos: "Images", detector: "OneToNormal", references: "References | None", work: Preparation | None
) -> None:
    """Note the smallest defect that the detector will be able to see in these photos."""
    from normalgen.images.peek import lost_detail, smallest_detail

    size = detector.judged_size(work.size) if work else detector.settings()["size"]
    tile = references.tile if references else detector.tile
    smallest = math.ceil(2 * tile / size) if tile else smallest_detail(photos.items, photos.crop, size)
    if hidden := lost_detail(smallest, size, "tiles" if tile else "photos"):
        note(f"{hidden}; use --crop, a smaller --tile, or a larger --size")
