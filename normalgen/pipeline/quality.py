"""Measures a pool against real normal photos that it never saw."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.errors import DataError
from normalgen.io.notes import note

if TYPE_CHECKING:
    from torch import Tensor

    from normalgen.images.images import Images
    from normalgen.pool.dataset import Pool
    from normalgen.pool.rows import PoolSettings
    from normalgen.quality.acceptance import Line

__all__ = ["PoolQuality", "measure_pool"]

LEAST_HELD_OUT = 4


@dataclass(frozen=True)
class PoolQuality:
    """The measures of a pool's images and of plain augmentation.

    Attributes:
        pool: the pool.
        lines: one per measure, with its values, its bar, and the values that miss it.
        images: how many images of each kind were measured.
        path: the JSON file with the measures, in the folder of the pool's records.
    """

    pool: "Pool"
    lines: "list[Line]"
    images: int
    path: Path


def measure_pool(
    folder: Path, photos: Path | None = None, data: Path | None = None, *, sample: int = 64, seed: int = 1
) -> PoolQuality:
    """Measure a pool's diffusion images, and as many augmented references.

    Args:
        folder: folder of the pool.
        photos: folder of normal photos, including the references; None finds the photos of a built-in category.
        data: folder of downloaded data sets, for a built-in category.
        sample: measure at most this many images of each kind.
        seed: decides the augmented references.

    Raises:
        DataError: `folder` holds no pool or no diffusion image, or its references are not among the photos.
    """
    from normalgen.io.atomic import write_json
    from normalgen.pool.dataset import Pool
    from normalgen.pool.journal import QUALITY, record_folder
    from normalgen.quality.acceptance import lines
    from normalgen.quality.comparison import compare

    pool, settings = Pool.load(folder), _settings(folder)
    size, augment = settings["size"], settings["augment"]
    sets = _by_mode(pool, size, sample)
    references, held_out = _photos(settings, photos, data)
    measures = compare(sets, references, held_out, size=size, augment=augment, most=sample, seed=seed)
    result, path = lines(measures), record_folder(folder) / QUALITY
    misses = {name: {line.measure: line.misses[name] for line in result if name in line.misses} for name in measures}
    write_json(path, {name: asdict(measures[name]) | {"misses": misses[name]} for name in measures})
    return PoolQuality(pool, result, measures["augmented"].images, path)


def _settings(folder: Path) -> "PoolSettings":
    from normalgen.pool.journal import RUN, read_run, record_folder

    run = read_run(folder)
    if run is None:
        path = record_folder(folder) / RUN
        raise DataError(f"{path} is missing, so the pool's settings are unknown; make the pool again")
    return run["settings"]


def _photos(settings: "PoolSettings", photos: Path | None, data: Path | None) -> "tuple[Images, Images | None]":
    """Return the pool's references, found by SHA-256, and the other normal photos, or None if there are too few."""
    from normalgen.data.find import find_category, folder_category
    from normalgen.images.crop import as_crop

    category, wanted, crop = settings["category"], settings["references"], as_crop(settings["crop"])
    try:
        normals = (folder_category(photos, category) if photos else find_category(category, data)).normals
    except DataError:
        if photos:
            raise
        raise DataError(f"cannot find the photos of {category!r}; name their folder with --photos") from None
    hashes = normals.hashes()
    missing = [digest for digest in wanted if digest not in hashes]
    if missing:
        raise DataError(
            f"{len(missing)} of the pool's {len(wanted)} references are not among the {len(normals)} photos of "
            f"{category}; name their folder with --photos"
        )
    references = normals.take([hashes.index(digest) for digest in wanted]).cropped(crop)
    others = normals.take([i for i, digest in enumerate(hashes) if digest not in wanted]).cropped(crop)
    if len(others) >= LEAST_HELD_OUT:
        return references, others
    note(
        f"{f'only {len(others)}' if len(others) else 'no'} photos besides the references, so measures that need photos "
        "the pool never saw are left out; put more good photos into --photos"
    )
    return references, None


def _by_mode(pool: "Pool", size: int, sample: int) -> "dict[str, Tensor]":
    """Return the first `sample` images of each diffusion mode, (N, 3, size, size) in [0, 1]."""
    from normalgen.pool.journal import REJECTED, record_folder

    sets = {}
    for mode in ("img2img", "txt2img"):
        rows = [i for i, row in enumerate(pool.rows) if row["mode"] == mode][:sample]
        if rows:
            sets[mode] = pool.images.take(rows).pixels(size).float() / 255
    if not sets:
        judged = len(pool.rejected())
        why = f"; the gate rejected {judged} candidates, see {record_folder(pool.folder) / REJECTED}" if judged else ""
        raise DataError(
            f"{pool.folder} holds augmented photos alone, no diffusion image to compare{why}. Make a pool with "
            "--plain 0, or with --no-gate to see what diffusion draws"
        )
    return sets
