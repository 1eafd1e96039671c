"""Pictures that wait to be used, in a temporary file instead of in memory."""

import os
from io import BytesIO
from typing import IO, NamedTuple

from PIL import Image

__all__ = ["Span", "Spool"]


class Span(NamedTuple):
    """Start and length, in bytes, of an entry of a spool."""

    start: int
    length: int


class Spool:
    """Bytes in a temporary file.

    Args:
        file: open for reading and writing, and empty.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def put(self, data: bytes) -> Span:
        """Append `data`."""
        start = self._file.seek(0, os.SEEK_END)
        self._file.write(data)
        return Span(start, len(data))

    def get(self, span: Span) -> bytes:
        """What was put there."""
        self._file.seek(span.start)
        return self._file.read(span.length)

    def put_picture(self, picture: Image.Image) -> Span:
        """Append a picture; nothing of it is lost."""
        buffer = BytesIO()
        picture.save(buffer, format="png", compress_level=1)
        return self.put(buffer.getvalue())

    def get_picture(self, span: Span) -> Image.Image:
        """The picture that was put there."""
        with Image.open(BytesIO(self.get(span))) as picture:
            picture.load()
            return picture
