"""Which photos are the references; and what people are told of photos that are left out, copied or used elsewhere."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from normalgen.cli.checks import need_photos
from normalgen.cli.show import note
from normalgen.errors import DataError
from normalgen.io.run_folder import read_record

if TYPE_CHECKING:
    from normalgen.references import References

UNREAD = (".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2")
DEFAULT_K, QUERY_DEPTH = 4, 2


def references_from(
    folder: Path | None,
    category: str | None,
    data: Path | None,
    noun: str | None,
    k: int | None,
    manifest: Path | None,
    crop: str | None,
    seed: int,
) -> "References":
    """The references that the options name.

    Raises:
        DataError: nothing named, not found, too few, or options that contradict each other.
    """
    need_photos(folder, data, manifest)
    tell_of_left_out(folder)
    from normalgen.data.category import check_name
    from normalgen.data.find import find_category, folder_category
    from normalgen.images.crop import parse_crop
    from normalgen.references import choose, from_manifest, read_manifest

    shots = read_manifest(manifest) if manifest else None
    if shots and k not in (None, len(shots.rows)):
        raise DataError(f"the manifest names {len(shots.rows)} references and -k asks for {k}; give one of the two")
    if shots and category not in (None, shots.category):
        raise DataError(f"the manifest is of category {shots.category!r}, --category says {category!r}")
    name = category or (shots.category if shots else None)
    if folder is None and name is None:
        raise DataError("name a folder of normal photos (normalgen generate ./good) or a --category")
    if name is not None:
        check_name(name)
    found = folder_category(folder, name) if folder else find_category(name or "", data)
    if folder and name is None and found.name != folder.resolve().name:
        note(f"the category is called {found.name!r}, after the folder above; --category gives it another name")
    noun = (noun or found.noun).strip()
    if not noun:
        raise DataError("--object must be a word or several, got an empty text")
    if shots:
        references = from_manifest(found.normals, shots, category=found.name, noun=noun)
    else:
        wanted = k if k is not None or folder else min(DEFAULT_K, len(found.normals))
        references = choose(found.normals, wanted, dataset=found.dataset, category=found.name, noun=noun, seed=seed)
    used = len(references.images)
    if used < references.available:
        note(f"{used} of {references.available} normal images are references (-k); the others are left out")
    tell_of_copies(references)
    return replace(references, images=references.images.cropped(None if crop is None else parse_crop(crop)))


def check_photos(references: "References", size: int) -> None:
    """Decode each photo once, so that a bad file is told of now; one line where the resize hides or skews.

    Raises:
        DataError: a photo cannot be read, or the crop leaves it.
    """
    smallest = references.images.smallest_detail(size)
    if smallest > 3:
        hidden = f"a defect narrower than about {smallest} of their pixels will not show"
        note(f"photos are scaled down to {size} px: {hidden}; use --crop, or a larger --size")
    longest = references.images.elongation(size)
    if longest > 1.1:
        skewed = f"photos are squashed to a square (sides up to {longest:.1f} to 1) before --augment turns them"
        note(f"{skewed}, which skews shapes; --crop center, or x,y,width,height of a square, avoids that")


class MadeFrom(NamedTuple):
    """The SHA-256 of the photos that something was made from, and how they were cropped."""

    hashes: frozenset[str]
    crop: Any


def made_from(folder: Path) -> MadeFrom | None:
    """What the model or the pool in `folder` was made from; None where it does not say."""
    from normalgen.customize.dreambooth import RECORD
    from normalgen.pool.journal import RUN, record_folder

    for path in (folder / RECORD, record_folder(folder) / RUN):
        if (record := read_record(path)) and "references" in record["settings"]:
            return MadeFrom(frozenset(record["settings"]["references"]), record["settings"].get("crop"))
    return None


def tell_of_others(what: str, folder: Path, references: "References", remedy: str) -> None:
    """A note if the model or pool in `folder` was made from other photos than these, or other parts; and what to do."""
    made = made_from(folder)
    if made is None:
        return
    others = made.hashes - set(references.images.hashes())
    if others:
        note(
            f"{what} {folder} was made from {len(made.hashes)} photos, {len(others)} of them not among these "
            f"references; {remedy}"
        )
    _tell_of_crop(what, folder, made, references.images.crop)


def tell_of_crop(what: str, folder: Path, crop: Any) -> None:
    """A note if the photos that the model or pool in `folder` was made from were cropped otherwise than by `crop`."""
    made = made_from(folder)
    if made is not None:
        _tell_of_crop(what, folder, made, crop)


def _tell_of_crop(what: str, folder: Path, made: MadeFrom, crop: Any) -> None:
    if _words(made.crop) != _words(crop):
        note(
            f"{what} {folder} was made from photos with {_words(made.crop)}, these are taken with {_words(crop)}, so "
            "parts look larger or smaller in them; give the same --crop"
        )


def _words(crop: Any) -> str:
    if crop is None:
        return "no --crop"
    return f"--crop {crop if isinstance(crop, str) else ','.join(map(str, crop))}"


def tell_of_left_out(folder: Path | None, depth: int = 1) -> None:
    """Notes of photos that are not read: of other formats, or one folder deeper than the `depth` that are looked into.

    What commands wrote there is passed over; what cannot be read is told of when it is read.
    """
    try:
        if folder is None or not folder.is_dir():
            return
    except OSError:
        return
    from normalgen.images.images import SUFFIXES
    from normalgen.io.atomic import passed_over

    def below(level: int) -> list[Path]:
        inside = folder.glob("/".join("*" * level))
        return [path for path in inside if path.is_file() and not passed_over(path, folder)]

    read = [path for level in range(1, depth + 1) for path in below(level)]
    for ending, count in sorted(Counter(path.suffix.lower() for path in read).items()):
        if ending in UNREAD:
            note(f"left out, as {ending} is not read: {count} in {folder}; export as JPEG or PNG")
    deeper = [path for path in below(depth + 1) if path.suffix.lower() in SUFFIXES and not _ours(path, folder)]
    if deeper:
        note(f"left out, as deeper folders are not read: {len(deeper)}, such as {min(deeper)}")


def _ours(path: Path, above: Path) -> bool:
    """Whether a folder between `above` and `path` is one of results."""
    from normalgen.io.outputs import RUN

    return any((folder / RUN).is_file() for folder in path.parents if folder.is_relative_to(above))


def tell_of_copies(references: "References") -> None:
    """A note if some references are byte for byte copies of others."""
    hashes = references.images.hashes()
    if len(set(hashes)) < len(hashes):
        note(f"of {len(hashes)} references only {len(set(hashes))} differ, the others are copies of them")
