"""Repairs the suspicious photos of a screening for a pool."""

from pathlib import Path
from typing import TYPE_CHECKING

from normalgen import __version__
from normalgen.io.notes import note
from normalgen.io.progress import Watch

if TYPE_CHECKING:
    from torch import Tensor

    from normalgen.diffusion.model import NormalModel
    from normalgen.pipeline.screening import ScreenedPhotos
    from normalgen.pool.repairs import Repairs
    from normalgen.pool.rows import RepairedRow
    from normalgen.references import References

__all__ = ["repaired_into"]


def repaired_into(
    folder: Path,
    screened: "ScreenedPhotos",
    references: "References",
    model: "NormalModel",
    *,
    seed: int,
    device: str,
    watch: Watch,
) -> "Repairs":
    """Repair the suspicious photos that can be repaired, and write them into `folder`; or read an earlier run's.

    Args:
        folder: for the repaired photos and their record.
        screened: what a screening found.
        references: those of the screening.
        model: customized on them.
        seed: decides the model's noise.
        device: device of the features.
        watch: receives the progress of "repair".

    Raises:
        DataError: a photo cannot be read, or the folder holds other files.
    """
    from normalgen.pool.repairs import read_repairs, write_repairs

    key = {
        "model": model.digest,
        "preset": model.preset.deciding("pool"),
        "references": references.images.hashes(),
        "kept": screened.kept.hashes(),
        "suspicious": screened.suspicious.hashes(),
        "masks": [*screened.masks],
        "limits": screened.limits,
        "seed": seed,
        "version": __version__,
    }
    repairs = read_repairs(folder, key)
    if repairs is None:
        rows, pairs = _repaired(screened, references, model, seed=seed, device=device, watch=watch)
        repairs = write_repairs(folder, rows, pairs, key)
    if count := len(screened.suspicious):
        note(f"{len(repairs.rows)} of {count} photos with a small unusual region are repaired for the pool")
    return repairs


def _repaired(
    screened: "ScreenedPhotos",
    references: "References",
    model: "NormalModel",
    *,
    seed: int,
    device: str,
    watch: Watch,
) -> "tuple[list[RepairedRow], list[tuple[Tensor, Tensor]]]":
    """Return a row for each photo that was repaired, and the photo before and after, (3, S, S) in [0, 1]."""
    from normalgen.features.open_features import open_features
    from normalgen.quality.repair import DONORS, Repairing
    from normalgen.quality.screen import mask_of

    rows: list[RepairedRow] = []
    pairs: list[tuple[Tensor, Tensor]] = []
    suspicious, size = screened.suspicious, model.preset.size
    if not len(suspicious):
        return rows, pairs
    kept = screened.kept.take(range(min(DONORS, len(screened.kept)))).pixels(size)
    features = open_features(screened.features, device=device)
    repairing = Repairing(model, references.images.pixels(size), kept, features, screened.limits, seed)
    for index, mask in enumerate(screened.masks):
        watch("repair", index, len(suspicious))
        photo = suspicious.photo(index, size)
        repair = repairing.repair(photo.pixels, mask_of(mask), photo.digest)
        if repair is not None:
            rows.append({"name": photo.name, "sha256": photo.digest, "share": repair.share})
            pairs.append((photo.pixels.float() / 255, repair.image))
    watch("repair", len(suspicious), len(suspicious))
    return rows, pairs
