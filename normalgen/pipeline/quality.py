"""Measures a pool against real normal photos that it never saw."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from normalgen.errors import DataError
from normalgen.io.notes import note
from normalgen.io.progress import Watch, silent

if TYPE_CHECKING:
    from torch import Tensor

    from normalgen.detectors.pool_worth import Worth
    from normalgen.images.images import Images
    from normalgen.pool.dataset import Pool
    from normalgen.pool.rows import PoolSettings
    from normalgen.quality.acceptance import Line
    from normalgen.settings.configs import Augment

__all__ = ["PoolQuality", "measure_pool"]

LEAST_HELD_OUT, HELD_OUT = 4, 32
NO_ADVICE = f"no advice: it takes {LEAST_HELD_OUT} or more good photos that the pool never saw; put them into --photos"


@dataclass(frozen=True)
class PoolQuality:
    """The measures of a pool's images and of plain augmentation.

    Attributes:
        pool: the pool.
        advice: in one line, whether to use the pool.
        lines: one per measure of diffusion images, with its values, its bar, and the values that miss it.
        images: how many images of each kind were measured.
        path: the JSON file with the measures, in the folder of the pool's records.
    """

    pool: "Pool"
    advice: str
    lines: "list[Line]"
    images: int
    path: Path


def measure_pool(
    folder: Path,
    photos: Path | None = None,
    data: Path | None = None,
    *,
    sample: int = 64,
    features: str = "embedded",
    seed: int = 1,
    watch: Watch = silent,
) -> PoolQuality:
    """Measure a pool, its diffusion images, and as many augmented references.

    Args:
        folder: folder of the pool.
        photos: folder of normal photos, including the references; None finds the photos of a built-in category.
        data: folder of downloaded data sets, for a built-in category.
        sample: measure at most this many images of each kind.
        features: what compares patches for the advice, as `normalgen.features.open_features` takes it.
        seed: decides the augmented references, the drawn defects and the choice of photos.
        watch: receives the progress of "compare".

    Raises:
        DataError: `folder` holds no pool, or its references are not among the photos; or there is no diffusion image
            and no photo to measure with.
    """
    from normalgen.io.atomic import write_json
    from normalgen.pool.dataset import Pool
    from normalgen.pool.journal import QUALITY, record_folder
    from normalgen.quality.acceptance import lines
    from normalgen.quality.comparison import compare

    pool, settings = Pool.load(folder), _settings(folder)
    size, augment = settings["size"], settings["augment"]
    references, held_out = _photos(settings, photos, data, {*pool.image_sources()})
    sets = _by_mode(pool, size, sample)
    if not sets and held_out is None:
        raise DataError(_nothing_to_measure(pool))
    measures = compare(sets, references, held_out, size=size, augment=augment, most=sample, seed=seed) if sets else {}
    found = _worth(pool, references, held_out, augment, sample, features, seed, watch)
    result, path = lines(measures) if measures else [], record_folder(folder) / QUALITY
    misses = {name: {line.measure: line.misses[name] for line in result if name in line.misses} for name in measures}
    kinds = {name: asdict(measures[name]) | {"misses": misses[name]} for name in measures}
    write_json(path, kinds | ({} if found is None else {"worth": asdict(found)}))
    advice = NO_ADVICE if found is None else found.sentence()
    return PoolQuality(pool, advice, result, measures["augmented"].images if measures else 0, path)


def _worth(
    pool: "Pool",
    references: "Images",
    held_out: "Images | None",
    augment: "Augment",
    sample: int,
    features: str,
    seed: int,
    watch: Watch,
) -> "Worth | None":
    """Return what the first images of the pool are worth, beside as many augmented references."""
    import torch

    from normalgen.detectors.pool_worth import worth
    from normalgen.features.open_features import open_features
    from normalgen.images.augment import augment_each
    from normalgen.images.turning import turnables
    from normalgen.io.rng import generator

    if held_out is None:
        return None
    network = open_features(features)
    count, photos = min(sample, len(pool)), turnables(references, network.size)
    draws = [generator("worth", seed, i) for i in range(count)]
    augmented = augment_each([photos[i % len(photos)] for i in range(count)], augment, draws)
    order = torch.randperm(len(held_out), generator=generator("held out", seed))[:HELD_OUT].tolist()
    own, others, judged = (
        images.pixels(network.size).float() / 255
        for images in (references, pool.images.take(range(count)), held_out.take(sorted(order)))
    )
    return worth(own, {"augmented": augmented, "pool": others}, judged, network, seed=seed, watch=watch)


def _settings(folder: Path) -> "PoolSettings":
    from normalgen.pool.journal import RUN, read_run, record_folder

    run = read_run(folder)
    if run is None:
        path = record_folder(folder) / RUN
        raise DataError(f"{path} is missing, so the pool's settings are unknown; make the pool again")
    return run["settings"]


def _photos(
    settings: "PoolSettings", photos: Path | None, data: Path | None, used: set[str]
) -> "tuple[Images, Images | None]":
    """Return the references, found by SHA-256, and the normal photos not `used`, or None if there are too few."""
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
    unseen = [i for i, digest in enumerate(hashes) if digest not in {*wanted, *used}]
    others = normals.take(unseen).cropped(crop)
    if len(others) >= LEAST_HELD_OUT:
        return references, others
    inside = len(normals) - len(unseen) - len(wanted)
    taken = f" ({inside} others are in the pool)" if inside else ""
    note(
        f"{f'only {len(others)}' if len(others) else 'no'} photos besides the references{taken}, so measures that need "
        "photos the pool never saw are left out; put more good photos into --photos"
    )
    return references, None


def _by_mode(pool: "Pool", size: int, sample: int) -> "dict[str, Tensor]":
    """Return the first `sample` images of each diffusion mode, (N, 3, size, size) in [0, 1]."""
    sets = {}
    for mode in ("img2img", "txt2img"):
        rows = [i for i, row in enumerate(pool.rows) if row["mode"] == mode][:sample]
        if rows:
            sets[mode] = pool.images.take(rows).pixels(size).float() / 255
    return sets


def _nothing_to_measure(pool: "Pool") -> str:
    from normalgen.pool.journal import REJECTED, record_folder

    judged = len(pool.rejected())
    why = f"; the gate rejected {judged} candidates, see {record_folder(pool.folder) / REJECTED}" if judged else ""
    return (
        f"{pool.folder} holds no diffusion image to measure{why}. Make a pool with --plain 0, or with --no-gate to see "
        f"what diffusion draws; or add good photos, for {LEAST_HELD_OUT} or more tell whether the pool is worth using"
    )
