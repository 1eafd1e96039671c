"""Tells which photos a model or pool was made from, and notes if they differ from the references."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NotRequired

from typing_extensions import TypedDict

from normalgen.customizing.saved_models import RECORD
from normalgen.data.manifest import ManifestRow
from normalgen.errors import DataError
from normalgen.images.images import Images
from normalgen.io.notes import note
from normalgen.io.records import read_json
from normalgen.io.run_folder import REMEDY
from normalgen.pool.journal import RUN, read_run, record_folder
from normalgen.pool.repairs import Repairs
from normalgen.references import References

__all__ = [
    "Origin",
    "in_recorded_order",
    "need_photos",
    "need_same_photos",
    "need_same_repairs",
    "note_other_crop",
    "note_other_photos",
    "origin_of",
]


class _Settings(TypedDict):
    references: NotRequired[list[str]]
    crop: NotRequired[str | list[int] | None]
    tile: NotRequired[int]


class _Made(TypedDict):
    settings: _Settings
    photos: NotRequired[list[ManifestRow]]


class Origin(NamedTuple):
    """What a model or pool was made from.

    Attributes:
        hashes: SHA-256 of each reference, in order.
        crop: their crop.
        tile: the side of their tiles.
        photos: SHA-256 of each further photo.
    """

    hashes: tuple[str, ...]
    crop: Any
    tile: int
    photos: tuple[str, ...] = ()


def origin_of(folder: Path) -> Origin | None:
    """Return the origin of the model or pool in `folder`; None if it is not recorded."""
    for path in (folder / RECORD, record_folder(folder) / RUN):
        record = read_json(path, _Made, REMEDY)
        if record is not None and "references" in record["settings"]:
            settings = record["settings"]
            photos = tuple(row["sha256"] for row in record.get("photos", []))
            return Origin(tuple(settings["references"]), settings.get("crop"), settings.get("tile", 0), photos)
    return None


def in_recorded_order(references: References, *folders: Path) -> References:
    """Return the references in the order in which the model or pool in one of `folders` was made from them.

    Names decide the order of new photos. If the same photos have other names now, the record decides, so that nothing
    is made again or scored differently. Other photos come back as they are.
    """
    hashes = references.images.hashes()
    for folder in folders:
        origin = _origin_if_there(folder)
        if origin is not None and sorted(origin.hashes) == sorted(hashes):
            places = [hashes.index(digest) for digest in origin.hashes]
            return replace(references, images=references.images.take(places))
    return references


def _origin_if_there(folder: Path) -> Origin | None:
    try:
        return origin_of(folder) if folder.exists() else None
    except OSError:  # no folder can have this name; whoever writes there says so
        return None


def note_other_photos(what: str, folder: Path, references: References, remedy: str) -> None:
    """Note if the model or pool in `folder` was made from other photos than the references, or with another crop."""
    origin = origin_of(folder)
    if origin is None:
        return
    others = set(origin.hashes) - set(references.images.hashes())
    if others:
        note(
            f"{what} {folder} was made from {len(set(origin.hashes))} photos, {len(others)} of them not among these "
            f"references; {remedy}"
        )
    note_other_crop(what, folder, references.images.crop, references.tile)


def need_photos(folder: Path) -> None:
    """Check that the pool in `folder`, if there is one, was made from unlabeled photos, too.

    Raises:
        DataError: it was not.
    """
    origin = origin_of(folder)
    if origin is not None and not origin.photos:
        raise DataError(
            f"{folder} was made without unlabeled photos; choose another folder, or replace the old files with "
            "--overwrite"
        )


def need_same_photos(folder: Path, photos: Images | None) -> None:
    """Check that the pool in `folder`, if there is one, was made from the same unlabeled photos, in this order.

    Raises:
        DataError: it was not.
    """
    origin = origin_of(folder)
    if origin is None or list(origin.photos) == ([] if photos is None else photos.hashes()):
        return
    before, now = len(origin.photos), 0 if photos is None else len(photos)
    if photos is None:
        raise DataError(
            f"{folder} holds {before} unlabeled photos; name their folder with --unlabeled, choose another folder, or "
            "replace the old files with --overwrite"
        )
    raise DataError(
        f"{folder} holds other unlabeled photos: {before} were kept when it was made, {now} now; give the same "
        "--unlabeled folder and --contamination, choose another folder, or replace the old files with --overwrite"
    )


def need_same_repairs(folder: Path, repaired: Repairs | None) -> None:
    """Check that the pool in `folder`, if there is one, was made with the same photos repaired, in this order.

    Raises:
        DataError: it was not.
    """
    run = read_run(folder)
    before, now = [] if run is None else run.get("repaired", []), [] if repaired is None else [*repaired.rows]
    if run is not None and before != now:
        raise DataError(
            f"{folder} holds other repaired photos: {len(before)} when it was made, {len(now)} now; give the same "
            "--repair or --no-repair, choose another folder, or replace the old files with --overwrite"
        )


def note_other_crop(what: str, folder: Path, crop: Any, tile: int | None = None) -> None:
    """Note if the model or pool in `folder` was made with another crop, or with other tiles if given."""
    origin = origin_of(folder)
    if origin is None:
        return
    for option, old, new in (("--crop", _words(origin.crop), _words(crop)), ("--tile", origin.tile, tile)):
        if new is not None and old != new:
            before, now = (f"{option} {value}" if value else f"no {option}" for value in (old, new))
            note(
                f"{what} {folder} was made with {before}, but this run has {now}, so parts look larger or smaller; "
                f"give the same {option}"
            )


def _words(crop: Any) -> str:
    return "" if crop is None else crop if isinstance(crop, str) else ",".join(map(str, crop))
