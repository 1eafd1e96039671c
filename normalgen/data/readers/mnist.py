"""MNIST (LeCun et al. 1998): the four idx files, gzipped or not, or folders `{train,test}/DIGIT/` of images."""

import gzip
import zlib
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from normalgen.data.category import Category
from normalgen.data.counts import PUBLISHED
from normalgen.data.layout import found_in
from normalgen.data.readers.one_against_all import Labelled, class_folders, has_class_folders, one_against_all
from normalgen.data.windows import png
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem

__all__ = ["NAMES", "fits_mnist", "mnist"]

NAMES = tuple(PUBLISHED["mnist"])
PARTS = {"train": "train", "test": "t10k"}
LARGEST = 2**27
"""Most bytes of an unpacked file; the published ones have at most 47 million."""


def fits_mnist(root: Path) -> bool:
    """Return whether `root` holds idx files or folders of digits."""
    return any(_file(root, part, "images-idx3-ubyte") for part in PARTS) or has_class_folders(root, NAMES)


def mnist(root: Path, name: str) -> Category:
    """Return the digit `name` against all others; images in idx files are called `train/00000` and `test/00000`.

    Idx files of images are read when the first image of them is.

    Raises:
        DataError: a file or folder is missing, cut off, or not what it should be.
    """
    train, test = (_idx(root, part) or class_folders(root, part, NAMES) for part in PARTS)
    return one_against_all("mnist", name, f"handwritten digit {name}", train, test)


def _idx(root: Path, part: str) -> list[Labelled]:
    files = [_file(root, part, kind) for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    if not any(files):
        if any(_file(root, other, "images-idx3-ubyte") for other in PARTS):
            raise DataError(f"{root} must hold {PARTS[part]}-images-idx3-ubyte.gz, found {found_in(root)}")
        return []
    if files[0] is None or files[1] is None:
        single = files[0] or files[1]
        raise DataError(
            f"{root} holds {single.name if single else ''} without its {'images' if files[1] else 'labels'}"
        )
    labels = read_idx(files[1])
    images, count = files[0], len(labels)
    return [
        (ImageItem(f"{part}/{row:05d}", f"{images} [{row}]", partial(_read, images, row, count)), str(label))
        for row, label in enumerate(labels.tolist())
    ]


def _file(root: Path, part: str, kind: str) -> Path | None:
    """Return the file with its published name, unpacked or gzipped; some copies have a dot before `idx`."""
    names = [
        f"{PARTS[part]}-{spelling}{end}" for end in ("", ".gz") for spelling in (kind, kind.replace("-idx", ".idx"))
    ]
    return next((root / name for name in names if (root / name).is_file()), None)


def _read(file: Path, row: int, count: int) -> bytes:
    """Return one image of `count` as PNG."""
    values = _values(file, file.stat().st_mtime_ns)
    if isinstance(values, DataError):
        raise values
    if values.ndim != 3 or len(values) != count:
        raise DataError(f"{file} holds {values.shape}, expected {count} images, as many as labels")
    return png(values[row])


@lru_cache(maxsize=2)
def _values(file: Path, changed: int) -> NDArray[np.uint8] | DataError:
    """Return the content of a file last `changed` at this time, or its error; all digits share one copy."""
    try:
        return read_idx(file)
    except DataError as error:
        return error


def read_idx(file: Path) -> NDArray[np.uint8]:
    """Return the bytes of an idx file in their shape.

    Raises:
        DataError: damaged, cut off, or not of bytes.
    """
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be unpacked ({error}); download it again") from error
    if len(data) > LARGEST:
        raise DataError(f"{file} unpacks to more than {LARGEST} bytes; download it again")
    dimensions = data[3] if data[:3] == b"\0\0\x08" and len(data) > 3 else 0
    start = 4 + 4 * dimensions
    shape = np.frombuffer(data[4:start], ">u4", count=dimensions if len(data) >= start else 0).tolist()
    if not shape or len(data) - start != int(np.prod(shape, dtype=object)):
        raise DataError(f"{file} is not a whole idx file of bytes ({len(data)} bytes); download it again")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
