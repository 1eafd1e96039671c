"""Tells which photos a model or pool was made from, and notes if they differ from the references."""

from pathlib import Path
from typing import Any, NamedTuple

from normalgen.customizing.saved_models import RECORD
from normalgen.io.notes import note
from normalgen.io.run_folder import read_record
from normalgen.pool.journal import RUN, record_folder
from normalgen.references import References

__all__ = ["Origin", "note_other_crop", "note_other_photos", "origin_of"]


class Origin(NamedTuple):
    """SHA-256 of the photos that a model or pool was made from, and their crop."""

    hashes: frozenset[str]
    crop: Any


def origin_of(folder: Path) -> Origin | None:
    """Return the origin of the model or pool in `folder`; None if it is not recorded."""
    for path in (folder / RECORD, record_folder(folder) / RUN):
        if (record := read_record(path)) and "references" in record["settings"]:
            return Origin(frozenset(record["settings"]["references"]), record["settings"].get("crop"))
    return None


def note_other_photos(what: str, folder: Path, references: References, remedy: str) -> None:
    """Note if the model or pool in `folder` was made from other photos than the references, or with another crop."""
    origin = origin_of(folder)
    if origin is None:
        return
    others = origin.hashes - set(references.images.hashes())
    if others:
        note(
            f"{what} {folder} was made from {len(origin.hashes)} photos, {len(others)} of them not among these "
            f"references; {remedy}"
        )
    note_other_crop(what, folder, references.images.crop)


def note_other_crop(what: str, folder: Path, crop: Any) -> None:
    """Note if the model or pool in `folder` was made with another crop."""
    origin = origin_of(folder)
    if origin is not None and _words(origin.crop) != _words(crop):
        note(
            f"{what} {folder} was made with {_words(origin.crop)}, but this run has {_words(crop)}, so parts look "
            "larger or smaller; give the same --crop"
        )


def _words(crop: Any) -> str:
    if crop is None:
        return "no --crop"
    return f"--crop {crop if isinstance(crop, str) else ','.join(map(str, crop))}"
