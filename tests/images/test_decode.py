import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from drawn_files import encoded, frames, noise, png
from PIL import Image

from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, decode
from normalgen.images.images import Images

RED, WHITE = (255, 0, 0), (255, 255, 255)


def read(path: Path) -> Image.Image:
    return decode(ImageItem(path.name, str(path), path.read_bytes))


def two_colours(transparency: object) -> bytes:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 255, 255, 0, 0])
    return encoded(palette, "png") if transparency is None else encoded(palette, "png", transparency=transparency)


STORED: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "grey": (encoded(Image.new("L", (4, 4), 77), "png"), (77, 77, 77)),
    "grey with a transparent value": (encoded(Image.new("L", (4, 4), 77), "png", transparency=78), (77, 77, 77)),
    "1 bit, white": (encoded(Image.new("1", (4, 4), 1), "png"), WHITE),
    "1 bit, black": (encoded(Image.new("1", (4, 4), 0), "tiff"), (0, 0, 0)),
    "palette": (two_colours(None), RED),
    "palette, other colour transparent": (two_colours(0), RED),
    "palette, half transparent": (two_colours(bytes([255, 51])), (255, 204, 204)),
    "palette gif": (encoded(Image.new("RGB", (4, 4), RED), "gif"), RED),
    "alpha": (encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 51)), "png"), (255, 204, 204)),
    "grey with alpha": (encoded(Image.new("LA", (4, 4), (0, 51)), "png"), (204, 204, 204)),
    "CMYK jpeg": (encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpeg"), RED),
    "CMYK tiff": (encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "tiff"), RED),
    "16-bit RGB png": (png(2, 1, 16, b"\0" + struct.pack(">6H", *[257 * v for v in (10, 20, 130)] * 2)), (10, 20, 130)),
    "bmp": (encoded(Image.new("RGB", (4, 4), (1, 2, 3)), "bmp"), (1, 2, 3)),
}


@pytest.mark.parametrize("stored", STORED)
def test_whatever_it_was_stored_as_it_comes_as_rgb(stored: str, tmp_path: Path) -> None:
    data, expected = STORED[stored]
    (tmp_path / "a.png").write_bytes(data)
    image = read(tmp_path / "a.png")
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_all_16_bits_of_grey_become_8_by_rounding(suffix: str, tmp_path: Path) -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    expected = np.round(values / 257)[..., None].repeat(3, 2)
    np.testing.assert_array_equal(np.asarray(read(tmp_path / f"a{suffix}")), expected)


def test_a_16_bit_rgb_tiff_keeps_its_colours(tmp_path: Path) -> None:
    values = noise(6, 5)
    tifffile.imwrite(tmp_path / "a.tif", values.astype(np.uint16) * 257, photometric="rgb")
    np.testing.assert_array_equal(np.asarray(read(tmp_path / "a.tif")), values)


Picture = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
STORED_TURNED: dict[int, Callable[[Picture], Picture]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED_TURNED)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_an_image_that_exif_says_is_turned_comes_upright(orientation: int, suffix: str, tmp_path: Path) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :8], upright[8:, :8], upright[:8, 24:] = RED, (0, 0, 255), (90, 90, 90)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED_TURNED[orientation](upright)))
    best: dict[str, dict[str, object]] = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}
    (tmp_path / f"a{suffix}").write_bytes(
        encoded(stored, Image.registered_extensions()[suffix], exif=exif, **best.get(suffix, {}))
    )
    np.testing.assert_allclose(np.asarray(read(tmp_path / f"a{suffix}")), upright, atol=4)


def test_the_first_picture_of_a_phones_mpo_is_the_photo(tmp_path: Path) -> None:
    photo, gain_map = Image.new("RGB", (16, 8), RED), Image.new("RGB", (8, 4), "blue")
    photo.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[gain_map])
    with Image.open(tmp_path / "a.jpg") as stored:
        assert getattr(stored, "n_frames", 0) == 2
    image = read(tmp_path / "a.jpg")
    assert image.size == (16, 8)
    assert np.abs(np.asarray(image).astype(int) - RED).max() <= 2


WHOLE = {kind: encoded(Image.fromarray(noise(24, 24)), kind) for kind in ("png", "jpeg", "bmp", "tiff", "webp", "gif")}
BAD: dict[str, tuple[bytes, str]] = {
    "transparent colour": (
        encoded(Image.new("RGBA", (4, 4), (9, 9, 9, 0)), "webp", lossless=True),
        "fully transparent",
    ),
    "transparent palette": (two_colours(1), "fully transparent"),
    "transparent grey": (encoded(Image.new("L", (4, 4), 77), "png", transparency=77), "fully transparent"),
    "empty": (b"", "is empty"),
    "text": (b"not an image at all", "unknown format"),
    "animated gif": (frames("gif"), "3 frames"),
    "tiff of pages": (frames("tiff"), "3 frames"),
    "animated webp": (frames("webp"), "3 frames"),
    "animated png": (frames("png"), "3 frames"),
    "float": (encoded(Image.new("F", (4, 4), 0.5), "tiff"), "8 or 16 bits"),
    "32-bit over the range": (encoded(Image.new("I", (4, 4), 65536), "tiff"), "8 or 16 bits"),
    "negative": (encoded(Image.new("I", (4, 4), -1), "tiff"), "8 or 16 bits"),
    "bomb": (png(50_000, 50_000, 8, b"\0" * 100), "scale it down"),
    "bomb in pieces": (png(13_400, 13_400, 8, b"\0" * 100), "scale it down"),
    **{f"truncated {kind}": (data[: len(data) // 2], "cannot be read") for kind, data in WHOLE.items()},
}


@pytest.mark.parametrize("bad", BAD)
def test_a_file_that_is_no_single_whole_image_is_named(bad: str, tmp_path: Path) -> None:
    data, reason = BAD[bad]
    (tmp_path / "shot 7.png").write_bytes(data)
    images = Images.from_folder(tmp_path)
    with pytest.raises(DataError, match=reason) as caught:
        images[0]
    assert str(tmp_path / "shot 7.png") in str(caught.value)


def test_a_bomb_is_refused_without_unpacking_it(tmp_path: Path) -> None:
    bomb = png(20_000, 20_000, 8, bytes(2_000_000))
    assert len(bomb) < 4000
    with pytest.raises(DataError, match=r"b\.png is too large"):
        decode(ImageItem("b.png", "b.png", lambda: bomb))


@pytest.mark.parametrize("kind", WHOLE)
def test_no_damage_gives_anything_but_an_image_or_a_named_file(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # damaged sizes cost time else
    draw, complaints = random.Random(kind), []
    for _ in range(250):
        data = bytearray(WHOLE[kind][: draw.choice([draw.randrange(1, len(WHOLE[kind])), None])])
        for _ in range(draw.randrange(6)):
            data[draw.randrange(min(len(data), 300))] = draw.choice([0, 255, draw.randrange(256)])
        try:
            decode(ImageItem("a", "the file", lambda data=data: bytes(data)))  # type: ignore[misc]
        except DataError as error:
            complaints.append(str(error))
    assert len(complaints) > 50
    assert all("the file" in complaint for complaint in complaints)


def test_a_tiff_that_lost_its_width_is_named() -> None:
    damaged = WHOLE["tiff"].replace(struct.pack("<HHI", 256, 4, 1), struct.pack("<HHI", 999, 4, 1))
    assert damaged != WHOLE["tiff"]
    with pytest.raises(DataError, match="the file cannot be read"):
        decode(ImageItem("a", "the file", lambda: damaged))
