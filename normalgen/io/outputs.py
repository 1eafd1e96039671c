"""Folders of results. A run replaces the files of an earlier run of the same command, and no others."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, NotRequired

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from normalgen.errors import DataError
from normalgen.io.atomic import write_whole
from normalgen.io.paths import remove_file, sweep
from normalgen.io.records import read_json, write_record
from normalgen.io.run_folder import REMEDY, Recorded, locked, refuse_file, refuse_foreign

__all__ = ["RUN", "Outputs", "output_names", "replacing", "see_free"]

RUN = "run.json"
PACKED = 3
"""zlib's level: a third of the time of Pillow's own, 6, for 7 % more bytes."""
LONGEST = 196
"""Most bytes in a file name, without its extension."""


class _Run(Recorded):
    """`run.json`: the command that wrote it, and the files it wrote."""

    made_by: NotRequired[str]
    files: NotRequired[list[str]]


class Outputs:
    """The files that one run writes; made by `replacing`.

    Attributes:
        folder: holds the files.
        record: contents of `run.json` when the run is done.
        names: the files written so far, as paths inside the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record: dict[str, Any] = {"settings": {}}
        self.names: set[str] = set()

    def path(self, name: str) -> Path:
        """Return the path for the file called `name`, and count it as one of this run's files."""
        self.names.add(name)
        return self.folder / name

    def text(self, name: str, text: str) -> None:
        """Write text as UTF-8."""
        write_whole(self.path(name), lambda partial: partial.write_text(text, encoding="utf-8"))

    def png(self, name: str, image: Image.Image) -> None:
        """Write an image as PNG."""
        write_whole(self.path(name), lambda partial: image.save(partial, format="png", compress_level=PACKED))

    def array(self, name: str, values: NDArray[Any]) -> None:
        """Write an array in numpy's format (.npy)."""

        def save(partial: Path) -> None:
            with partial.open("w+b") as file:  # for "wb", numpy writes by itself, and its errors lack a number
                np.save(file, values)

        write_whole(self.path(name), save)


@contextmanager
def replacing(folder: Path, made_by: str, patterns: Sequence[str]) -> Iterator[Outputs]:
    """Lock `folder` for a run; at its end, write `run.json` and remove files that only an earlier run wrote.

    A run that fails or is stopped removes nothing; `run.json` lists the files that it wrote for the next run. Until it
    replaces a file of the earlier run, that run's record stays, because its results are still whole.

    Args:
        folder: new, empty, or written by an earlier run of the same command.
        made_by: the command.
        patterns: how the command names its files, such as "maps/*.png"; no other file is removed, whatever is listed.

    Raises:
        DataError: as `see_free`, or another process holds the folder.
    """
    with locked(folder):
        earlier, before = set(see_free(folder, made_by)), read_json(folder / RUN, _Run, REMEDY)
        sweep(folder)
        outputs, begun = Outputs(folder), {"made_by": made_by, "settings": {}, "files": sorted(earlier)}
        write_record(folder / RUN, begun)
        try:
            yield outputs
        except BaseException:
            if before is None and not outputs.names:
                (folder / RUN).unlink()
            else:
                kept = begun if before is None or earlier & outputs.names else before
                write_record(folder / RUN, {**kept, "files": sorted(earlier | outputs.names)})
            raise
        _remove(folder, earlier, outputs.names, patterns)
        write_record(folder / RUN, {"made_by": made_by} | outputs.record | {"files": sorted(outputs.names)})


def _remove(folder: Path, earlier: set[str], kept: set[str], patterns: Sequence[str]) -> None:
    """Remove the files in `earlier` except those in `kept`, which some disks also find by other spellings."""
    same = {_plain(name) for name in kept}
    for name in earlier:
        if _plain(name) not in same and any(_fits(name, pattern) for pattern in patterns):
            remove_file(folder, name)


def _fits(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and PurePosixPath(name).match(pattern)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def see_free(folder: Path, made_by: str) -> list[str]:
    """Check that the command may write into `folder`; return the names that an earlier run wrote there.

    Raises:
        DataError: the folder holds other files or another command's, is no folder, or cannot be written.
    """
    refuse_file(folder)
    record = read_json(folder / RUN, _Run, REMEDY)
    if record is None:
        refuse_foreign(folder)
        return []
    if record.get("made_by") != made_by:
        raise DataError(f"{folder} holds a {RUN} that {made_by} did not write; choose another folder")
    return record.get("files", [])


def output_names(names: Iterable[str]) -> dict[str, str]:
    """Return the file name, without extension, for the results of each photo; the same names give the same result.

    It is the photo's path without its extension, with "__" for "/". A hash of the path is added if another photo's name
    would be the same on some disk, or if the name is too long. Each is at most 196 bytes, which leaves room for ".png".

    Args:
        names: paths of the photos inside their folder, in any order.
    """
    stems = {name: name.removesuffix(PurePosixPath(name).suffix).replace("/", "__") for name in names}
    often = Counter(map(_plain, stems.values()))
    plain = {name: stem for name, stem in stems.items() if often[_plain(stem)] == 1 and len(_bytes(stem)) <= LONGEST}
    taken = set(map(_plain, plain.values()))
    for name in sorted(stems.keys() - plain.keys()):
        plain[name] = next(stem for stem in _hashed(name, stems[name]) if _plain(stem) not in taken)
        taken.add(_plain(plain[name]))
    return plain


def _hashed(name: str, stem: str) -> Iterator[str]:
    """Yield the stem with more and more digits of the name's SHA-256, cut if too long."""
    digest = sha256(_bytes(name)).hexdigest()
    for digits in range(8, len(digest) + 1):
        cut = _bytes(stem)[: LONGEST - digits - 1].decode(errors="ignore")
        yield f"{cut}-{digest[:digits]}"


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
