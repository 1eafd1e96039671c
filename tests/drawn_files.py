"""Files of images as tests need them: 16 bits, several frames, headers that lie."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Values = NDArray[Any]
DRAW = np.random.default_rng(0)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, bits: int, pixels: bytes) -> bytes:
    """An RGB PNG written by hand: Pillow writes none of 16 bits, nor one that lies about its size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def frames(kind: str) -> bytes:
    pictures = [Image.fromarray(noise(8, 8, seed)) for seed in range(3)]
    return encoded(pictures[0], kind, save_all=True, append_images=pictures[1:])


def part(low: float, high: float, noise: float = 2, size: int = 200) -> Values:
    """A grey disc of level `high` on a ground of level `low`, with noise, float (size, size)."""
    rows, columns = np.mgrid[:size, :size]
    inside = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 < (size / 5) ** 2
    return np.where(inside, high, low) + DRAW.normal(0, noise, (size, size))


def grey16(values: Values) -> bytes:
    return encoded(Image.fromarray(values.clip(0, 65535).astype(np.uint16)), "png")


def colour16(values: Values) -> bytes:
    """A PNG of 16-bit colour, which Pillow cannot write."""

    pixels = np.repeat(values.clip(0, 65535).astype(">u2")[..., None], 3, 2)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return png(pixels.shape[1], pixels.shape[0], 16, rows)
