"""A finished pool."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normalgen.errors import DataError
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images
from normalgen.io.run_folder import read_record
from normalgen.pool.journal import CANDIDATES, GATE, METADATA, RUN, image_path, record_folder, whole_rows
from normalgen.settings.preset import Preset

if TYPE_CHECKING:
    from datasets import Dataset

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
    """

    folder: Path
    rows: tuple[dict[str, Any], ...]

    @classmethod
    def load(cls, folder: Path) -> "Pool":
        """Load the pool in `folder`; reads no image.

        Raises:
            DataError: `folder` holds no pool, or an image that its metadata names is missing.
        """
        if not (folder / METADATA).is_file():
            raise DataError(
                f"{folder} holds no pool ({METADATA}); make one with: normalgen generate PHOTOS --out {folder}"
            )
        rows = whole_rows(folder / METADATA)
        missing = [row["file_name"] for row in rows if not (folder / row["file_name"]).is_file()]
        if missing:
            raise DataError(f"{folder / missing[0]} is missing; the same generate command makes it again")
        return cls(folder, tuple(rows))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def images(self) -> Images:
        """The images, read only when used."""
        files = [self.folder / row["file_name"] for row in self.rows]
        return Images([ImageItem(file.name, str(file), file.read_bytes) for file in files])

    @property
    def dataset(self) -> "Dataset":
        """The pool as `datasets.load_dataset(folder)["train"]` returns it, but never from a cache."""
        import datasets

        columns = [{"image": str(self.folder / row["file_name"])} | row for row in self.rows]
        table = datasets.Dataset.from_list([{k: v for k, v in row.items() if k != "file_name"} for row in columns])
        return table.cast_column("image", datasets.Image())

    def preset(self) -> Preset:
        """Return the settings that the pool was made with.

        Raises:
            DataError: the record of the settings is missing.
            PresetError: another version of normalgen wrote it.
        """
        path = record_folder(self.folder) / RUN
        record = read_record(path)
        if record is None:
            raise DataError(f"{path} is missing, so the pool's settings are unknown; make the pool again")
        return Preset.from_settings(record["preset"])

    def gate(self) -> dict[str, Any]:
        """Return the gate's cut-offs ("limits") and what too few references leave open ("unknown"); {} if off."""
        path = record_folder(self.folder) / GATE
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def rejected(self) -> list[Rejected]:
        """Return the candidates that the gate rejected, ordered by index."""
        path = record_folder(self.folder) / CANDIDATES
        rows = [row for row in (whole_rows(path) if path.is_file() else []) if not row["kept"]]
        return [Rejected(image_path(self.folder, row["index"], False), row["reason"], row["numbers"]) for row in rows]
