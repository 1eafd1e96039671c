"""CIFAR-10 (Krizhevsky 2009): its python batches, or folders `{train,test}/CLASS/` of images.

The batches are pickles. They are read without running what is in them: only the names of numpy's arrays are known, and
even those stand for classes of this file, which take bytes and call nothing.
"""

import io
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normalgen.data.category import Category
from normalgen.data.counts import PUBLISHED
from normalgen.data.readers.one_against_all import Labelled, class_folders, has_class_folders, one_against_all
from normalgen.data.windows import png
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem

__all__ = ["NAMES", "cifar10", "fits_cifar10", "read_batch"]

NAMES = tuple(PUBLISHED["cifar10"])
PARTS = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
ROW = 3 * 32 * 32


def fits_cifar10(root: Path) -> bool:
    """Return whether `root` holds batches or folders of classes."""
    return any((root / name).is_file() for part in PARTS.values() for name in part) or has_class_folders(root, NAMES)


def cifar10(root: Path, name: str) -> Category:
    """Return the class `name` against all others; images in batches are called `data_batch_1/00000`.

    Labels lie beside the pixels, so listing reads the batches; of them only what the category needs is kept.

    Raises:
        DataError: a file or folder is missing, cut off, or not what it should be.
    """
    if not any((root / name).is_file() for part in PARTS.values() for name in part):
        train, test = (class_folders(root, part, NAMES) for part in PARTS)
    else:
        train, test = _batches(root, "train", {name}), _batches(root, "test", set(NAMES))
    return one_against_all("cifar10", name, name, train, test)


def _batches(root: Path, part: str, wanted: set[str]) -> list[Labelled]:
    labelled = []
    for batch in PARTS[part]:
        values, labels = read_batch(root / batch)
        for row, label in enumerate(labels):
            if NAMES[label] in wanted:
                image = values[row].reshape(3, 32, 32).transpose(1, 2, 0).copy()
                item = ImageItem(f"{batch}/{row:05d}", f"{root / batch} [{row}]", partial(png, image))
                labelled.append((item, NAMES[label]))
    return labelled


class _Kind:
    """Stands for numpy.dtype: remembers what it was called, and drops the state."""

    def __init__(self, name: object = "", *rest: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass


class _Array:
    """Stands for numpy.ndarray, and for the function that makes an empty one: takes unsigned bytes alone."""

    def __init__(self, *_: object) -> None:
        self.values = np.zeros(0, np.uint8)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, _, data = state
        if kind.name not in (b"u1", "u1"):
            raise pickle.UnpicklingError(f"an array of {kind.name!r}, not of bytes")
        self.values = np.frombuffer(data, np.uint8).reshape(shape)


class _Reader(pickle.Unpickler):
    """Knows three names, and refuses every other."""

    def find_class(self, module: str, name: str) -> Any:
        known = {"_reconstruct": _Array, "ndarray": _Array, "dtype": _Kind}
        if module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray") and name in known:
            return known[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is refused")


def read_batch(file: Path) -> tuple[NDArray[np.uint8], list[int]]:
    """Return pixels (N, 3072), red, green, blue, and labels 0 to 9 of a batch.

    Raises:
        DataError: missing, cut off, with other things in it than arrays, numbers and text, or of another shape.
    """
    if not file.is_file():
        raise DataError(f"CIFAR-10's {file} is missing")
    try:
        held = _Reader(io.BytesIO(file.read_bytes()), encoding="bytes").load()
        values, labels = held[b"data"].values, [int(label) for label in held[b"labels"]]
        if values.shape != (len(labels), ROW) or not set(labels) <= set(range(10)):
            raise ValueError(f"pixels {values.shape} and {len(labels)} labels")
    except OSError:
        raise
    except Exception as error:  # damaged pickles make the reader raise whatever they like
        raise DataError(f"{file} is not a batch of CIFAR-10 ({error}); download it again") from error
    return values, labels
