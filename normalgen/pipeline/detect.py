"""Finds anomalies: makes a missing model or pool, fits the detector, judges the photos, writes the results."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError
from normalgen.io.devices import pick_device
from normalgen.io.notes import note
from normalgen.io.progress import progress_bars
from normalgen.pipeline.calibrating import calibration_photos
from normalgen.pipeline.choosing import default_detector, named_detector, saved_folder
from normalgen.pipeline.folders import check_apart, queries_from, target_folder
from normalgen.pipeline.make import Settings
from normalgen.pipeline.pool_making import check_unlabeled
from normalgen.pipeline.preparation import Preparation, pool_folder
from normalgen.pipeline.verdict_writing import Detection, Judging, first_results
from normalgen.settings.presets import preset as preset_called

if TYPE_CHECKING:
    from normalgen.data.labels import LabelNames
    from normalgen.data.queries import Queries
    from normalgen.detectors.base import Detector, JudgingDetector
    from normalgen.images.images import Images
    from normalgen.images.sources import ImageSource
    from normalgen.pool.dataset import Pool
    from normalgen.references import References

__all__ = ["Detection", "detect"]


def detect(
    queries: "ImageSource",
    references: "References | None" = None,
    folder: str | Path | None = None,
    *,
    detector: "Detector | str | Path | None" = None,
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
    """Find anomalies in photos with a detector fitted on the references and a pool.

    First results, from the references alone, come before a model or a pool is made. The same call again learns nothing.

    Args:
        queries: a folder, also with labelled sub-folders; one photo; PIL images; or an array (N, H, W, 3), uint8.
        references: the k photos; not needed with a fitted detector. If they are in tiles, so are the queries.
        folder: folder for the results, maps, twins and a page; default: detections/CATEGORY.
        detector: a detector, a name such as "memory[grid=8]", or a saved one's folder; default: One-to-Normal.
        pool: added to the bank; default: pools/CATEGORY, made with `n` images if it does not exist.
        n: how many images the pool should have; 0 makes no pool. A new pool has room for all kept `unlabeled` photos.
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
        DataError, PresetError: no photos; too few to calibrate with; a model or pool of other photos; bad settings.
    """
    chosen, asked = _opened(detector, preset, settings or {}, seed, device := pick_device(device))
    photos, category = _queries(queries, chosen, references, labels), _category(chosen, references)
    model_folder, bank = target_folder(model, "models", category), pool_folder(pool, category)
    check_unlabeled(unlabeled, contamination, makes_pool=_makes_pool(chosen, pool, n))
    unused = calibration_photos(calibrate, photos, [bank, model_folder], rate, fitted=chosen.is_fitted)
    judging = Judging(photos, unused, rate, _target(queries, folder, category), category, save_maps)
    more = {"unlabeled": unlabeled, "contamination": contamination, "judged": judging.judged}
    work = _preparation(chosen, references, preset, asked, model_folder, {"seed": seed, "device": device} | more)
    _note_hidden(photos.images, chosen, references, work)
    return _judged(judging, chosen, work, (pool, bank, n), map_size, progress)


def _judged(
    judging: Judging,
    detector: "JudgingDetector",
    work: Preparation | None,
    bank: tuple["Pool | str | Path | None", Path, int],
    map_size: int,
    progress: bool,
) -> Detection:
    """Fit the detector if it is not fitted yet, and write the results; `bank` as for `Preparation.fit`."""
    with progress_bars(progress) as watch:
        if work is None:
            return judging.write(detector, map_size, watch)
        with first_results(judging, work.first(detector, *bank, watch), map_size, watch):
            return judging.write(work.fit(detector, *bank, watch), map_size, watch)


def _opened(
    detector: "Detector | str | Path | None", preset: str, settings: Settings, seed: int, device: str
) -> "tuple[JudgingDetector, Settings]":
    """Return the given detector, one by name or from a folder, or the preset's default; and the model's settings."""
    from normalgen.detectors.own_detector import judging
    from normalgen.detectors.saved import load_detector
    from normalgen.io.cache import user_cache

    if detector is not None and not isinstance(detector, str | Path):
        return judging(detector), settings
    folder = saved_folder(detector) if isinstance(detector, str) else detector
    if folder is not None:
        return load_detector(folder, device=device, cache=user_cache("twins")), settings
    default = default_detector(preset, seed=seed, device=device)
    return (default, settings) if detector is None else named_detector(str(detector), settings, default)


def _makes_pool(detector: "JudgingDetector", pool: "Pool | str | Path | None", n: int) -> bool:
    """Return whether a run makes or fills a pool for the detector, unless it is there."""
    return not detector.is_fitted and detector.uses_pool and pool is None and n > 0


def _preparation(
    detector: "JudgingDetector",
    references: "References | None",
    preset: str,
    settings: Settings,
    folder: Path,
    given: dict[str, Any],
) -> Preparation | None:
    """Return what makes model and pool from the references; None for a fitted detector."""
    if detector.is_fitted or references is None:
        return None
    detector.check()
    if given["unlabeled"] is not None:
        from normalgen.pipeline.screening import unlabeled_photos

        given = given | {"unlabeled": unlabeled_photos(given["unlabeled"], references)}
    return Preparation(references, preset_called(preset), settings, folder, **given)


def _category(detector: "JudgingDetector", references: "References | None") -> str:
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
    source: "ImageSource", detector: "JudgingDetector", references: "References | None", said: "LabelNames | None"
) -> "Queries":
    """Return the photos to judge, cropped like the references; labels of references among them do not count."""
    if references is not None:
        images = references.images
        return queries_from(source, images.crop, said).unmeasured(images.hashes(), images)
    training = detector.trained_from
    return queries_from(source, training.crop, said).unmeasured(training.references)


def _note_hidden(
    photos: "Images", detector: "JudgingDetector", references: "References | None", work: Preparation | None
) -> None:
    """Note the smallest defect that the detector will be able to see in these photos."""
    from normalgen.images.peek import lost_detail, smallest_detail

    size = detector.judged_size(work.size) if work else detector.image_size
    tile = references.tile if references else detector.tile
    smallest = math.ceil(2 * tile / size) if tile else smallest_detail(photos.items, photos.crop, size)
    if hidden := lost_detail(smallest, size, "tiles" if tile else "photos"):
        note(f"{hidden}; use --crop, a smaller --tile, or a larger --size")
