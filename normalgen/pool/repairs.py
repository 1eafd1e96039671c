"""Repaired photos among a pool's records: what joins the pool, and how each photo was before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor
from typing_extensions import TypedDict

from normalgen.errors import DataError
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images, to_pil
from normalgen.images.turning import Turnable, turnables
from normalgen.io.outputs import RUN, replacing
from normalgen.io.records import read_json
from normalgen.pool.rows import RepairedRow
from normalgen.references import References

__all__ = ["Repairs", "read_repairs", "sources_of", "write_repairs"]

MADE_BY, FILES = "normalgen generate --repair", ("*.png",)


@dataclass(frozen=True)
class Repairs:
    """Photos after their repair, N of them.

    Attributes:
        folder: holds them, and how they were before.
        rows: one per photo: the name and the SHA-256 of the photo, and the share that was repaired.
    """

    folder: Path
    rows: tuple[RepairedRow, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """The repaired share of each photo."""
        return tuple(row["share"] for row in self.rows)

    @property
    def images(self) -> Images:
        """The repaired photos."""
        return self._read("after")

    @property
    def before(self) -> Images:
        """The same photos as they were."""
        return self._read("before")

    def _read(self, when: str) -> Images:
        files = [self.folder / _name(index, when) for index in range(len(self.rows))]
        return Images([ImageItem(file.name, str(file), partial(Path.read_bytes, file)) for file in files])


class _Run(TypedDict):
    """`run.json`."""

    settings: dict[str, Any]
    rows: list[RepairedRow]


def read_repairs(folder: Path, settings: Mapping[str, Any] | None = None) -> Repairs | None:
    """Return the finished repairs in `folder`; None if there are none, with other settings, or a file is missing."""
    try:
        run = read_json(folder / RUN, _Run, "")
    except DataError:
        return None
    if run is None or settings not in (None, run["settings"]):
        return None
    files = (folder / _name(index, when) for index in range(len(run["rows"])) for when in ("after", "before"))
    return Repairs(folder, tuple(run["rows"])) if all(file.is_file() for file in files) else None


def write_repairs(
    folder: Path, rows: Sequence[RepairedRow], pairs: Sequence[tuple[Tensor, Tensor]], settings: Mapping[str, Any]
) -> Repairs:
    """Write the photos, each (3, S, S) in [0, 1], before and after, and what decided them.

    Raises:
        DataError: the folder holds other files, or is in use.
    """
    with replacing(folder, MADE_BY, FILES) as outputs:
        for index, pair in enumerate(pairs):
            for when, image in zip(("before", "after"), pair, strict=True):
                outputs.png(_name(index, when), to_pil(image))
        outputs.record = {"settings": {**settings}, "rows": [*rows]}
    return Repairs(folder, tuple(rows))


def sources_of(
    references: References, photos: Images | None, repaired: Repairs | None, size: int
) -> tuple[list[str], list[str], list[Turnable]]:
    """Return names, hashes and pixels of a pool's sources: references, photos, repaired photos."""
    parts, rows = [references.pieces, *([] if photos is None else [photos])], repaired.rows if repaired else ()
    names = [name for part in parts for name in part.names] + [row["name"] for row in rows]
    hashes = [digest for part in parts for digest in part.hashes()] + [row["sha256"] for row in rows]
    parts += [repaired.images] if repaired else []
    return names, hashes, [source for part in parts for source in turnables(part, size)]


def _name(index: int, when: str) -> str:
    return f"{index:05d}-{when}.png"
