"""Makes a pool of existing images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from normalgen.errors import DataError
from normalgen.io.atomic import write_whole
from normalgen.io.notes import note
from normalgen.io.records import row_line
from normalgen.pool.dataset import Pool
from normalgen.pool.journal import METADATA, image_name

__all__ = ["NO_SOURCE", "source_of", "write_pool"]

NO_SOURCE = {"reference": "", "reference_sha256": ""}
"""The columns of an image that was made from no photo."""


def source_of(name: str, digest: str) -> dict[str, str]:
    """Return the columns that say which photo an image was made from; the SHA-256 decides, the name is for people."""
    return {"reference": name, "reference_sha256": digest}


def write_pool(
    folder: Path,
    images: Sequence[Image.Image],
    references: Sequence[Mapping[str, str]],
    *,
    category: str,
    mode: str,
    label: int = 0,
) -> Pool:
    """Write `images` as a pool for detectors; a complete pool in `folder` is loaded instead.

    Args:
        folder: folder for this pool alone.
        images: RGB.
        references: per image, the photo that it was made from, as `source_of` or `NO_SOURCE` gives it.
        category: category of the images.
        mode: how the images were made, for the rows.
        label: 1 if the images are anomalous.
    """
    if (folder / METADATA).is_file():
        try:
            return Pool.load(folder)
        except DataError:
            note(f"the pool {folder} is damaged, and is made again")
    lines = []
    for index, (image, reference) in enumerate(zip(images, references, strict=True)):
        name = image_name(index)
        write_whole(folder / name, lambda partial, image=image: image.save(partial, format="png"))  # type: ignore[misc]
        row = {"file_name": name, "category": category, "label": label, "index": index}
        lines.append(row_line(row | {"mode": mode, **reference}))
    write_whole(folder / METADATA, lambda partial: partial.write_bytes(b"".join(lines)))
    return Pool.load(folder)
