"""Find anomalies: make what is missing, fit the detector, judge the photos, write the results."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.errors import DataError
from normalgen.io.devices import pick_device
from normalgen.io.progress import Watch, progress_bars
from normalgen.pipeline.folders import check_apart, queries_from, target_folder
from normalgen.pipeline.make import Settings
from normalgen.pipeline.preparation import Preparation, calibration_photos, pool_folder
from normalgen.settings.presets import preset as preset_called

if TYPE_CHECKING:
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


@dataclass(frozen=True)
class Detection:
    """A run of detection, and what its verdicts rest on.

    Attributes:
        run: the results, and AUROC where labels are known.
        folder: of the files.
        detector: fitted.
        threshold: from scores to verdicts.
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
    calibrate: str | Path | None = None,
    rate: float = 0.05,
    save_maps: bool = False,
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
        pool: joins the bank; default: pools/CATEGORY, made if need be, with `n` images; 0 makes none.
        n: see `pool`.
        model: folder of the model, as for `generate_pool`.
        preset: as for `customize`.
        settings: as for `customize`.
        calibrate: folder of more good photos, none of them a reference: makes verdicts sound.
        rate: share of good parts that may be called anomalous, in (0, 0.5].
        save_maps: also write each map as float32 .npy.
        seed: decides every draw.
        device: as for `customize`.
        progress: whether to show a bar.

    Raises:
        DataError: no photos; too few to calibrate with; a model or pool of other parts; a folder of other files.
        PresetError: settings that cannot work.
    """
    from normalgen.report.detection_run import write_detection

    where = pick_device(device)
    chosen = _opened(detector, preset, seed, where)
    category = _category(chosen, references)
    photos, bank = _queries(queries, chosen, references), pool_folder(pool, category)
    target, place = _target(queries, folder, category), target_folder(model, "models", category)
    work = None
    if references is not None and not chosen.is_fitted:
        work = Preparation(references, preset_called(preset), settings or {}, place, seed=seed, device=where)
    unused = calibration_photos(calibrate, photos, [bank, place], rate)
    title = f"{category}: {len(photos.images)} photos"
    with progress_bars(progress) as watch:
        chosen = work.fit(chosen, pool, bank, n, watch) if work else chosen
        threshold = _threshold(chosen, unused, rate, watch)
        run = write_detection(chosen, photos, threshold, target, title=title, save_maps=save_maps, watch=watch)
    return Detection(run, target, chosen, threshold)


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


def _category(detector: "OneToNormal", references: "References | None") -> str:
    """Of the references, or of those that the detector was fitted on.

    Raises:
        DataError: there are neither.
    """
    if references is not None:
        return references.category
    if not detector.is_fitted:
        raise DataError("references are needed to fit a detector: name a folder of good photos, or a fitted detector")
    return detector.trained_from.category


def _target(source: "ImageSource", folder: str | Path | None, category: str) -> Path:
    """The folder of the results, checked before any work.

    Raises:
        DataError: it holds the photos, or other files.
    """
    from normalgen.io.outputs import see_free
    from normalgen.report.detection_run import MADE_BY

    target = target_folder(folder, "detections", category)
    check_apart(source, target)
    see_free(target, MADE_BY)
    return target


def _queries(source: "ImageSource", detector: "OneToNormal", references: "References | None") -> "Queries":
    """The photos to be judged, cropped as the references are; the labels of those among them do not count."""
    if references is not None:
        return queries_from(source, references.images.crop).unmeasured(references.images.hashes())
    training = detector.trained_from
    return queries_from(source, training.crop).unmeasured(training.references)


def _threshold(detector: "OneToNormal", unused: "Images | None", rate: float, watch: Watch) -> "Threshold":
    """From photos that were not used; or approximate, from left-out references."""
    import torch

    from normalgen.detectors.conformal import Threshold

    if unused is None:
        return Threshold(detector.left_out, rate, "approximate")
    scores = torch.empty(0)
    watch("calibrate", 0, len(unused))
    for batch in detector.explain(unused):
        scores = torch.cat([scores, batch.scores["fused"]])
        watch("calibrate", len(scores), len(unused))
    return Threshold(scores, rate, "calibrated")
