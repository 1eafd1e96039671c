"""Find anomalies: make what is missing, fit the detector, judge the photos, write the results."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.errors import DataError
from normalgen.io.devices import pick_device
from normalgen.io.progress import Watch, progress_bars
from normalgen.pipeline.bank import Preparation, calibration_photos, pool_folder
from normalgen.pipeline.folders import check_apart, queries_from, target_folder
from normalgen.pipeline.make import Settings
from normalgen.settings.presets import preset as preset_called

if TYPE_CHECKING:
    from normalgen.data.queries import Queries
    from normalgen.detectors.conformal import Threshold
    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.detectors.one_to_normal.triplet import Choice, Fusion
    from normalgen.detectors.self_test import Proxy
    from normalgen.images.images import Images
    from normalgen.images.sources import ImageSource
    from normalgen.pool.dataset import Pool
    from normalgen.references import References
    from normalgen.report.detection_results import DetectionRun

__all__ = ["Detection", "default_detector", "detect"]


@dataclass(frozen=True)
class Detection:
    """A run of detection, and what its verdicts rest on.

    Attributes:
        run: the results, and AUROC where labels are known.
        folder: of the files.
        detector: fitted.
        threshold: from scores to verdicts.
        proxy: of the self-test, if there was one.
    """

    run: "DetectionRun"
    folder: Path
    detector: "OneToNormal"
    threshold: "Threshold"
    proxy: "Proxy | None" = None


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
    calibrate: str | Path | None = None,
    rate: float = 0.05,
    self_test: bool = False,
    save_maps: bool = False,
    save: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> Detection:
    """Find anomalies in photos: One-to-Normal (Li et al., NeurIPS 2024), fitted on the references and a pool.

    Model and pool are made first, unless they are there. Results, maps, twins and a page are written into `folder`.

    Args:
        queries: a folder, perhaps with labelled sub-folders; one photo; PIL images; or an array (N, H, W, 3) of uint8.
        references: the k photos; not needed with a fitted detector.
        folder: of the results; default: detections/CATEGORY.
        detector: settings, unfitted; or fitted; or the folder that one was saved in.
        pool: joins the bank; default: pools/CATEGORY, made if need be.
        n: images in a pool that is made on the way; 0 makes none.
        model: folder of the model, as for `generate_pool`.
        preset: as for `customize`.
        settings: as for `customize`.
        calibrate: folder of more good photos, none of them a reference: makes verdicts sound.
        rate: share of good parts that may be called anomalous, in (0, 0.5].
        self_test: also measure a proxy AUROC on references with drawn defects.
        save_maps: also write each map as float32 .npy.
        save: folder to keep the fitted detector in.
        seed: decides every draw.
        device: as for `customize`.
        progress: whether to show a bar.

    Raises:
        DataError: no photos; too few to calibrate with; a model or pool of other parts; a folder of other files.
        PresetError: settings that cannot work.
    """
    from normalgen.io.outputs import see_free
    from normalgen.report.detection_run import MADE_BY, write_detection

    where = pick_device(device)
    chosen = _opened(detector, preset, seed, where)
    if references is None and not chosen.is_fitted:
        raise DataError("references are needed to fit a detector: name a folder of good photos, or a fitted detector")
    category = chosen.trained_from.category if references is None else references.category
    photos = _queries(queries, chosen, references)
    bank, work = pool_folder(pool, category), None
    if references is not None and not chosen.is_fitted:
        place = target_folder(model, "models", category)
        work = Preparation(references, preset_called(preset), settings or {}, place, seed=seed, device=where)
    target = target_folder(folder, "detections", category)
    unused = None
    if calibrate is not None:
        made = [bank] if work is None else [bank, work.folder]
        unused = calibration_photos(Path(calibrate), photos, made, rate)
    check_apart(queries, target)
    see_free(target, MADE_BY)
    title = f"{category}: {len(photos.images)} photos"
    with progress_bars(progress) as watch:
        if work is not None:
            chosen = work.fit(chosen, pool, bank, n, watch)
        threshold = _threshold(chosen, unused, rate)
        run = write_detection(chosen, photos, threshold, target, title=title, save_maps=save_maps, watch=watch)
        proxy = _proxy(chosen, references, seed, watch) if self_test else None
    if save is not None:
        chosen.save(Path(save))
    return Detection(run, target, chosen, threshold, proxy)


def default_detector(
    preset: str,
    *,
    features: str = "",
    branches: tuple[str, ...] = ("p", "n"),
    fusion: "Fusion | None" = None,
    text: str = "",
    choice: "Choice" = "ssim",
    seed: int = 0,
    device: str = "cpu",
) -> "OneToNormal":
    """One-to-Normal with the settings given; the preset decides what is left open.

    Raises:
        PresetError: settings that cannot work.
    """
    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.io.cache import user_cache

    paper = preset == "paper"
    detector = OneToNormal(
        features=features or ("embedded" if preset == "tiny" else "clip"),
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
    """The detector as it was given, loaded, or the preset's own."""
    from normalgen.detectors.one_to_normal.detector import OneToNormal
    from normalgen.io.cache import user_cache

    if detector is None:
        return default_detector(preset, seed=seed, device=device)
    if isinstance(detector, OneToNormal):
        return detector
    return OneToNormal.load(Path(detector), device=device, cache=user_cache("twins"))


def _queries(source: "ImageSource", detector: "OneToNormal", references: "References | None") -> "Queries":
    """The photos to be judged, cropped as the references are; the labels of those among them do not count."""
    if references is not None:
        return queries_from(source, references.images.crop).unmeasured(references.images.hashes())
    training = detector.trained_from
    return queries_from(source, training.crop).unmeasured(training.references)


def _threshold(detector: "OneToNormal", unused: "Images | None", rate: float) -> "Threshold":
    """From photos that were not used; or approximate, from left-out references."""
    from normalgen.detectors.conformal import Threshold

    if unused is None:
        return Threshold(detector.left_out, rate, "approximate")
    return Threshold(detector.predict(unused).image_scores, rate, "calibrated")


def _proxy(detector: "OneToNormal", references: "References | None", seed: int, watch: Watch) -> "Proxy":
    from normalgen.detectors.self_test import self_test

    if references is None:
        raise DataError("the self-test draws defects on the references: name their folder")
    return self_test(detector, references, seed=seed, watch=watch)
