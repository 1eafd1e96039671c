"""Finds the photos in a folder, whatever their endings, and notes what is skipped."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from PIL import Image

from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, file_item, formats, without_bomb_warning
from normalgen.io.atomic import passed_over
from normalgen.io.notes import note
from normalgen.io.text import valid_texts

__all__ = ["is_photo", "need_photo", "note_skipped", "photo_endings", "photo_files", "photo_items"]

RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw")
REMEDIES = {
    **dict.fromkeys(RAW, "develop them as PNG or JPEG"),
    **dict.fromkeys((".heic", ".heif", ".jxl", ".eps", ".pdf", ".svg"), "export them as PNG or JPEG"),
    **dict.fromkeys((".npy", ".npz", ".mat"), "write the arrays as PNG, or pass them to normalgen in Python"),
    **dict.fromkeys((".dcm", ".nii"), "export the window you need as PNG of 8 or 16 bits"),
    **dict.fromkeys((".avi", ".mp4", ".mov", ".mkv"), "extract frames as PNG"),
}
"""Endings that are not read, and what to do. Pillow would show only the small preview of some raw photos."""
MARKED = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "QOI", "TIFF", "WEBP")
"""Formats that are recognized by their first bytes, so that a file needs no ending."""


@cache
def photo_endings() -> frozenset[str]:
    """Return the endings, in small letters, of the formats that are read."""
    known = formats()
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in known)


def is_photo(file: Path) -> bool:
    """Whether a file is a photo: a regular file with the ending or, without a known ending, the content of one."""
    ending = file.suffix.lower()
    if ending in REMEDIES or not file.is_file():
        return False
    return ending in photo_endings() or _is_marked(file)


def need_photo(file: Path) -> None:
    """Check that a file is a photo, by its ending or content.

    Raises:
        DataError: it is not; says what to do with files of its ending.
    """
    if not is_photo(file):
        remedy = REMEDIES.get(file.suffix.lower(), "name a PNG, JPEG, TIFF or other image")
        raise DataError(f"{file} is not read as an image; {remedy}")


def _is_marked(file: Path) -> bool:
    try:
        with without_bomb_warning(), Image.open(file, formats=[name for name in MARKED if name in formats()]):
            return True
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


def photo_files(folder: Path, *, depth: int = 1) -> list[Path]:
    """Return the photos in a folder, sorted, down to `depth` levels; without hidden ones and records of pools.

    Raises:
        OSError: the folder cannot be read.
    """
    return sorted(file for level in range(1, depth + 1) for file in _inside(folder, level) if is_photo(file))


def photo_items(files: Iterable[Path], above: Path) -> list[ImageItem]:
    """Return the files as items, named by their paths below `above`; bytes that are not text are escaped."""
    files = list(files)
    names = valid_texts(file.relative_to(above).as_posix() for file in files)
    return [file_item(file, name) for file, name in zip(files, names, strict=True)]


def note_skipped(folder: Path | None, depth: int = 1) -> None:
    """Note the files in a folder that are not read, by ending, and photos deeper than `depth` levels.

    Results that commands wrote are not noted. A folder that cannot be read raises later.
    """
    try:
        if folder is None or not folder.is_dir():
            return
        skipped = [path for level in range(1, depth + 1) for path in _inside(folder, level) if not is_photo(path)]
        deeper = [path for path in _inside(folder, depth + 1) if is_photo(path) and not _is_result(path, folder)]
    except OSError:
        return
    skipped = [path for path in skipped if not path.is_dir() and not _is_result(path, folder)]
    if skipped:
        note(f"skipped in {folder}, not read as images: {_by_ending(skipped)}")
    if deeper:
        note(f"skipped {len(deeper)} photos in deeper folders, which are not read, such as {min(deeper)}")


def _by_ending(files: list[Path]) -> str:
    """Return the number of files per ending, the most frequent first, with what to do about them."""
    counts = Counter(file.suffix.lower() or "without ending" for file in files).most_common()
    return ", ".join(
        f"{count} {ending}" + (f" ({REMEDIES[ending]})" if ending in REMEDIES else "") for ending, count in counts
    )


def _inside(folder: Path, level: int) -> list[Path]:
    if level == 1:
        return [path for path in folder.iterdir() if not passed_over(path, folder)]
    inner = [path for path in _inside(folder, level - 1) if path.is_dir()]
    return [file for path in inner for file in path.iterdir() if not passed_over(file, folder)]


def _is_result(path: Path, above: Path) -> bool:
    """Whether a command wrote `path`: a folder between `above` and it has a run.json."""
    return any((folder / "run.json").is_file() for folder in path.parents if folder.is_relative_to(above))
