"""Which photos a model or a pool was made from, and remarks if they differ from the references."""

from pathlib import Path
from typing import Any, NamedTuple

from normalgen.customizing.saved_models import RECORD
from normalgen.io.notes import note
from normalgen.io.run_folder import read_record
from normalgen.pool.journal import RUN, record_folder
from normalgen.references import References

__all__ = ["Origin", "note_other_crop", "note_other_photos", "origin_of"]


class Origin(NamedTuple):
    """The SHA-256 of the photos that something was made from, how they were cropped, and the side of their tiles."""

    hashes: frozenset[str]
    crop: Any
    tile: int


def origin_of(folder: Path) -> Origin | None:
    """Return what the model or pool in `folder` was made from; None if it is not recorded."""
    for path in (folder / RECORD, record_folder(folder) / RUN):
        if (record := read_record(path)) and "references" in record["settings"]:
            settings = record["settings"]
            return Origin(frozenset(settings["references"]), settings.get("crop"), settings.get("tile", 0))
    return None


def note_other_photos(what: str, folder: Path, references: References, remedy: str) -> None:
    """Remark if the model or pool in `folder` was made from other photos than the references, or with another crop."""
    origin = origin_of(folder)
    if origin is None:
        return
    others = origin.hashes - set(references.images.hashes())
    if others:
        note(
            f"{what} {folder} was made from {len(origin.hashes)} photos, {len(others)} of them not among these "
            f"references; {remedy}"
        )
    note_other_crop(what, folder, references.images.crop, references.tile)


def note_other_crop(what: str, folder: Path, crop: Any, tile: int | None = None) -> None:
    """Remark if the model or pool in `folder` was made from photos with another crop, or in other tiles if given."""
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
