"""Notes on photos in a folder that are skipped."""

from collections import Counter
from pathlib import Path

from normalgen.io.atomic import passed_over
from normalgen.io.notes import note

__all__ = ["note_skipped"]

UNREAD = (".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2")


def note_skipped(folder: Path | None, depth: int = 1) -> None:
    """Note photos in unsupported formats, and photos deeper than `depth` levels.

    Results that commands wrote are not noted. A folder that cannot be read raises later.
    """
    try:
        if folder is None or not folder.is_dir():
            return
    except OSError:
        return
    from normalgen.images.decode import SUFFIXES

    read = [path for level in range(1, depth + 1) for path in _files(folder, level)]
    for ending, count in sorted(Counter(path.suffix.lower() for path in read).items()):
        if ending in UNREAD:
            note(f"skipped {count} {ending} photos in {folder}, an unsupported format; export them as JPEG or PNG")
    deeper = [path for path in _files(folder, depth + 1) if path.suffix.lower() in SUFFIXES]
    deeper = [path for path in deeper if not _is_result(path, folder)]
    if deeper:
        note(f"skipped {len(deeper)} photos in deeper folders, which are not read, such as {min(deeper)}")


def _files(folder: Path, level: int) -> list[Path]:
    inside = folder.glob("/".join("*" * level))
    return [path for path in inside if path.is_file() and not passed_over(path, folder)]


def _is_result(path: Path, above: Path) -> bool:
    """Whether a command wrote `path`: a folder between `above` and it has a run.json."""
    return any((folder / "run.json").is_file() for folder in path.parents if folder.is_relative_to(above))
