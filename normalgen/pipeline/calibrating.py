"""The photos that calibrate a detector, and the threshold that they give."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.errors import DataError
from normalgen.io.notes import note
from normalgen.io.progress import Watch

if TYPE_CHECKING:
    from normalgen.data.queries import Queries
    from normalgen.detectors.base import JudgingDetector
    from normalgen.detectors.conformal import Threshold
    from normalgen.images.images import Images

__all__ = ["HIGHEST_RATE", "calibration_photos", "threshold_of"]

HIGHEST_RATE = 0.5


def calibration_photos(
    folder: str | Path | None, queries: "Queries", made: list[Path], rate: float, *, fitted: bool
) -> "Images | None":
    """Return the photos in `folder` that are not references, queries, or sources of a model or pool.

    Args:
        folder: folder of good photos; None returns None.
        queries: photos to judge; they know which photos are references.
        made: folders of models and pools.
        rate: share of good parts that may be called anomalous.
        fitted: whether the detector is fitted; before, a pool's photos may calibrate it, and then leave the bank.

    Raises:
        DataError: too few photos for the rate.
    """
    from normalgen.images.copies import COMPARED
    from normalgen.images.images import Images
    from normalgen.pool.origin import origin_of

    if folder is None:
        return None
    try:
        photos = Images.from_folder(Path(folder)).cropped(queries.images.crop).kept()
    except DataError as error:
        raise DataError(f"--calibrate: {error}") from error
    origins = [origin for path in made if (origin := origin_of(path))]
    sources = [(*origin.hashes, *(origin.photos if fitted else ())) for origin in origins]
    seen = {*queries.known, *queries.hashes()}.union(*sources)
    used_elsewhere = replace(queries, known=frozenset(seen)).knows(COMPARED)
    fresh = [row for row in range(len(photos)) if not used_elsewhere(photos.photo(row, COMPARED))]
    if len(fresh) < len(photos):
        used = len(photos) - len(fresh)
        what = "references, sources of the model or pool, queries, or copies of references"
        note(f"{used} photos in {folder} are {what}; they do not count")
    least = math.ceil(1 / rate - 1e-9) - 1
    if len(fresh) < least:
        possible = math.ceil(1000 / (len(fresh) + 1)) / 1000
        higher = f"use a --rate of at least {possible:g}, or " if possible <= HIGHEST_RATE else ""
        raise DataError(
            f"--calibrate {folder}: --rate {rate:g} needs at least {least} photos that are not used elsewhere, got "
            f"{len(fresh)}; add photos, {'' if higher else 'or '}{higher}leave --calibrate out"
        )
    return photos.take(fresh)


def threshold_of(detector: "JudgingDetector", unused: "Images | None", rate: float, watch: Watch) -> "Threshold":
    """Return the threshold from unused photos, or an approximate one from left-out references."""
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
