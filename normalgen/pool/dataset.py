"""A finished pool."""

import glob
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images
from normalgen.io.records import read_json, text_digest
from normalgen.pool.journal import (
    GATE,
    METADATA,
    RUN,
    image_fault,
    image_path,
    read_candidates,
    read_kept,
    read_run,
    record_folder,
)
from normalgen.pool.rows import GateRecord
from normalgen.settings.preset import Preset

if TYPE_CHECKING:
    from datasets import Dataset

    from normalgen.references import References

__all__ = ["Pool", "Rejected"]


@dataclass(frozen=True)
class Rejected:
    """A candidate that the gate rejected: its image, the reason, and its measures."""

    path: Path
    reason: str
    numbers: dict[str, float]


@dataclass(frozen=True)
class Pool:
    """A folder of generated normal images; the folder of its records may be missing.

    Attributes:
        folder: folder of the pool.
        rows: metadata of the kept images, ordered by index.
        digests: SHA-256 of each image's file by its name, where one is recorded; checked whenever the image is read.
    """

    folder: Path
    rows: tuple[dict[str, Any], ...]
    digests: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, folder: Path) -> "Pool":
        """Load the pool in `folder`; reads no image.

        Raises:
            DataError: `folder` holds no pool, its rows are damaged, or an image that they name is missing.
        """
        if not (folder / METADATA).is_file():
            raise DataError(
                f"{folder} holds no pool ({METADATA}); make one with: normalgen generate PHOTOS --out {folder}"
            )
        kept = read_kept(folder)
        missing = (image_fault(folder, row, None) for row in kept.rows)
        if fault := kept.fault or next(filter(None, missing), "") or ("" if kept.rows else f"{METADATA} is empty"):
            raise DataError(f"the pool {folder} is damaged: {fault}; for all faults: normalgen pool check {folder}")
        return cls(folder, tuple(kept.rows), kept.digests)

    @classmethod
    def is_whole(cls, folder: Path) -> bool:
        """Return whether `load` loads the pool in `folder`; if not, `fill_pool` makes again what is damaged."""
        try:
            return len(cls.load(folder)) > 0
        except DataError:
            return False

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def images(self) -> Images:
        """The images, read only when used."""
        files = [self.folder / row["file_name"] for row in self.rows]
        digests = [self.digests.get(row["file_name"]) for row in self.rows]
        reads = [partial(_read, self.folder, *pair) for pair in zip(files, digests, strict=True)]
        return Images([ImageItem(file.name, str(file), read) for file, read in zip(files, reads, strict=True)])

    @property
    def dataset(self) -> "Dataset":
        """The pool as `datasets.load_dataset(folder)["train"]` returns it, but never from a cache."""
        import datasets

        columns = [{"image": str(self.folder / row["file_name"])} | row for row in self.rows]
        table = datasets.Dataset.from_list([{k: v for k, v in row.items() if k != "file_name"} for row in columns])
        return table.cast_column("image", datasets.Image())

    def loading(self) -> str:
        """Return the line of Python that loads the pool with `datasets`, whatever the current folder is."""
        path = self.folder.resolve().as_posix()
        if glob.escape(path) == path:
            return f"datasets.load_dataset({path!r}, split='train')"
        return f"datasets.load_dataset('imagefolder', data_dir={glob.escape(path)!r}, split='train')"

    def sources(self, references: "References") -> list[str]:
        """Return the SHA-256 of the photo that each image was made from; "" for none.

        Rows of earlier versions have names alone: these mean the photos in the pool's records, or else `references`.
        """
        named = dict(zip(references.images.names, references.images.hashes(), strict=True))
        if run := read_run(self.folder):
            named |= {row["name"]: row["sha256"] for row in [*run["references"]["references"], *run.get("photos", [])]}
        return [row.get("reference_sha256") or named.get(row["reference"], "") for row in self.rows]

    def image_sources(self) -> list[str]:
        """Return the SHA-256 of each photo in the pool's records: references, and photos that joined it."""
        run = read_run(self.folder)
        rows = [] if run is None else [*run["references"]["references"], *run.get("photos", [])]
        return [row["sha256"] for row in rows]

    def preset(self) -> Preset:
        """Return the settings that the pool was made with.

        Raises:
            DataError: the record of the settings is missing or damaged.
            PresetError: another version of normalgen wrote it.
        """
        run = read_run(self.folder)
        if run is None:
            path = record_folder(self.folder) / RUN
            raise DataError(f"{path} is missing, so the pool's settings are unknown; make the pool again")
        return Preset.from_settings(run["preset"])

    def gate(self) -> GateRecord | None:
        """Return the gate's cut-offs and what too few references leave open; None if the gate was off.

        Raises:
            DataError: the record is damaged.
        """
        path = record_folder(self.folder) / GATE
        return read_json(path, GateRecord, "the same normalgen generate command makes it again")

    def rejected(self) -> list[Rejected]:
        """Return the candidates that the gate rejected, ordered by index."""
        rows = [row for row in read_candidates(self.folder).rows if not row["kept"]]
        return [
            Rejected(image_path(self.folder, row["index"], False), row["reason"], row.get("numbers", {}))
            for row in rows
        ]


def _read(folder: Path, file: Path, digest: str | None) -> bytes:
    """Return the bytes of an image; raises if they are not those that were drawn."""
    data = file.read_bytes()
    if digest not in (None, text_digest(data)):
        raise DataError(f"{file} is not the image that was drawn; for all faults: normalgen pool check {folder}")
    return data
