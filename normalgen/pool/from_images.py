"""Makes a pool of existing images."""

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from normalgen.io.atomic import write_whole
from normalgen.pool.dataset import Pool
from normalgen.pool.journal import METADATA, image_name

__all__ = ["write_pool"]


def write_pool(
    folder: Path, images: Sequence[Image.Image], references: Sequence[str], *, category: str, mode: str, label: int = 0
) -> Pool:
    """Write `images` as a pool for detectors; a complete pool in `folder` is loaded instead.

    Args:
        folder: folder for this pool alone.
        images: RGB.
        references: per image, the name of the photo that it was made from, "" for none.
        category: category of the images.
        mode: how the images were made, for the rows.
        label: 1 if the images are anomalous.
    """
    if not (folder / METADATA).is_file():
        rows = []
        for index, (image, reference) in enumerate(zip(images, references, strict=True)):
            name = image_name(index)
            write_whole(folder / name, lambda partial, image=image: image.save(partial, format="png"))  # type: ignore[misc]
            row = {"file_name": name, "category": category, "label": label, "index": index}
            rows.append(row | {"mode": mode, "reference": reference})
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_whole(folder / METADATA, lambda partial: partial.write_text(text, encoding="utf-8"))
    return Pool.load(folder)
