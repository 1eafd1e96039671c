"""Stores pictures in a temporary file instead of in memory."""

import os
from io import BytesIO
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Span", "Spool"]


class Span(NamedTuple):
    """Start and length of an entry of a spool, in bytes."""

    start: int
    length: int


class Spool:
    """Stores bytes in a temporary file.

    Args:
        file: an empty file, open for reading and writing.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def put(self, data: bytes) -> Span:
        """Append `data` and return its span."""
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(data)
        return Span(start, len(data))

    def get(self, span: Span) -> bytes:
        """Return the bytes at `span`."""
        self._file.seek(span.start)
        return self._file.read(span.length)

    def put_map(self, values: NDArray[np.float16]) -> Span:
        """Append a map and return its span."""
        return self.put(values.tobytes())

    def get_map(self, span: Span, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return the map of `shape` at `span`."""
        return np.frombuffer(self.get(span), np.float16).reshape(shape).astype(np.float32)

    def put_picture(self, picture: Image.Image) -> Span:
        """Append a picture without loss and return its span."""
        buffer = BytesIO()
        picture.save(buffer, format="png", compress_level=1)
        return self.put(buffer.getvalue())

    def get_picture(self, span: Span) -> Image.Image:
        """Return the picture at `span`."""
        with Image.open(BytesIO(self.get(span))) as picture:
            picture.load()
            return picture
