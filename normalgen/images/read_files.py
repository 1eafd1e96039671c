"""What is known of files that were read: their hashes, and if wanted their photos."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from normalgen.images.crop import Crop
from normalgen.images.decode import ImageItem, read_bytes

if TYPE_CHECKING:
    from normalgen.images.images import Photo

__all__ = ["ReadFiles"]

HELD = 2**28
"""Most bytes to hold of files that are hashed but not yet decoded."""


class ReadFiles:
    """Hashes of files that were read; if `keeps`, also their photos, and bytes still to decode."""

    def __init__(self, *, keeps: bool) -> None:
        self.keeps, self.room = keeps, HELD
        self.digests: dict[ImageItem, str] = {}
        self.photos: dict[tuple[ImageItem, str | Crop | None, int], Photo] = {}
        self.held: dict[ImageItem, bytes] = {}

    def digest(self, item: ImageItem) -> str:
        """Return the SHA-256 of the file; reads the file if it is not known yet."""
        item = item.whole or item
        if item not in self.digests:
            data = self._read(item)
            if self.keeps and len(data) <= self.room:
                self.held[item], self.room = data, self.room - len(data)
        return self.digests[item]

    def data(self, item: ImageItem) -> bytes:
        """Return the bytes of the file and stop holding them."""
        data = self.held.pop(item, None)
        if data is None:
            return self._read(item)
        self.room += len(data)
        return data

    def peek(self, item: ImageItem) -> bytes:
        """Return the bytes of the file; holds them as `digest` does."""
        self.digest(item)
        return self.held.get(item) or self._read(item)

    def _read(self, item: ImageItem) -> bytes:
        data = read_bytes(item)
        self.digests[item] = hashlib.sha256(data).hexdigest()
        return data
