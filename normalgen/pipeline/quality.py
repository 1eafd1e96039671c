"""Measure a pool against real normal photos that it never saw."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError
from normalgen.io.notes import note

if TYPE_CHECKING:
    from torch import Tensor

    from normalgen.images.images import Images
    from normalgen.pool.dataset import Pool
    from normalgen.quality.acceptance import Line

__all__ = ["PoolQuality", "measure_pool"]

LEAST_HELD_OUT = 4


@dataclass(frozen=True)
class PoolQuality:
    """What a pool's images measure, beside plain augmentation.

    Attributes:
        pool: the pool.
        lines: one per measure, with its values, its bar, and what misses it.
        images: how many of each kind were measured.
        path: the same as JSON, in the folder of the pool's records.
    """

    pool: "Pool"
    lines: "list[Line]"
    images: int
    path: Path


def measure_pool(
    folder: Path, photos: Path | None = None, data: Path | None = None, *, sample: int = 64, seed: int = 1
) -> PoolQuality:
    """Measure what diffusion made of a pool, and as many augmented references.

    Args:
        folder: of the pool.
        photos: folder of normal photos, the references among them; None finds those of a built-in category.
        data: folder of downloaded data sets, for a built-in category.
        sample: at most so many images of each kind are measured.
        seed: draws the augmented references.

    Raises:
        DataError: `folder` holds no pool or no image by diffusion, or its references are not among the photos.
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
    found, path = lines(measures), record_folder(folder) / QUALITY
    misses = {name: {line.measure: line.misses[name] for line in found if name in line.misses} for name in measures}
    write_json(path, {name: asdict(measures[name]) | {"misses": misses[name]} for name in measures})
    return PoolQuality(pool, found, measures["augmented"].images, path)


def _settings(folder: Path) -> dict[str, Any]:
    from normalgen.io.run_folder import read_record
    from normalgen.pool.journal import RUN, record_folder

    path = record_folder(folder) / RUN
    run = read_record(path)
    if run is None:
        raise DataError(f"{path} is missing; the pool's settings are not known")
    settings: dict[str, Any] = run["settings"]
    return settings


def _photos(settings: dict[str, Any], photos: Path | None, data: Path | None) -> "tuple[Images, Images | None]":
    """The pool's references, found by SHA-256, and the other normal photos; None if there are too few."""
    from normalgen.data.find import find_category, folder_category

    category, wanted, crop = settings["category"], settings["references"], settings["crop"]
    try:
        found = (folder_category(photos, category) if photos else find_category(category, data)).normals
    except DataError:
        if photos:
            raise
        raise DataError(f"where are the photos of {category!r}? Name their folder with --photos") from None
    hashes = found.hashes()
    missing = [digest for digest in wanted if digest not in hashes]
    if missing:
        raise DataError(
            f"{len(missing)} of the pool's {len(wanted)} references are not among the {len(found)} photos of "
            f"{category}; name their folder with --photos"
        )
    crop = tuple(crop) if isinstance(crop, list) else crop
    references = found.take([hashes.index(digest) for digest in wanted]).cropped(crop)
    others = found.take([i for i, digest in enumerate(hashes) if digest not in wanted]).cropped(crop)
    if len(others) >= LEAST_HELD_OUT:
        return references, others
    note(
        f"{f'only {len(others)}' if len(others) else 'no'} photos besides the references: what needs photos that the "
        "pool never saw is left out; put more good photos into --photos"
    )
    return references, None


def _by_mode(pool: "Pool", size: int, sample: int) -> "dict[str, Tensor]":
    """The first `sample` images of each mode that diffusion made, (N, 3, size, size) in [0, 1]."""
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
            f"{pool.folder} holds augmented photos alone, no image that diffusion made: nothing to compare{why}. "
            "Make one with --plain 0, or with --no-gate to see what diffusion draws"
        )
    return sets
