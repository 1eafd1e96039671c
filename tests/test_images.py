import hashlib
import io
import math
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from normalgen.errors import DataError
from normalgen.images import Crop, ImageItem, Images, decode, parse_crop, to_pil, to_tensor

RED, WHITE = (255, 0, 0), (255, 255, 255)


def read(path: Path) -> Image.Image:
    return decode(ImageItem(path.name, str(path), path.read_bytes))


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


def in_memory(*pictures: Image.Image, crop: str | Crop | None = None) -> Images:
    data = [encoded(picture, "png") for picture in pictures]
    return Images([ImageItem(f"{i}.png", f"{i}.png", lambda each=each: each) for i, each in enumerate(data)], crop)  # type: ignore[misc]


def two_colours(transparency: object) -> bytes:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 255, 255, 0, 0])
    return encoded(palette, "png") if transparency is None else encoded(palette, "png", transparency=transparency)


STORED: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "grey": (encoded(Image.new("L", (4, 4), 77), "png"), (77, 77, 77)),
    "grey with a transparent value": (encoded(Image.new("L", (4, 4), 77), "png", transparency=77), WHITE),
    "1 bit, white": (encoded(Image.new("1", (4, 4), 1), "png"), WHITE),
    "1 bit, black": (encoded(Image.new("1", (4, 4), 0), "tiff"), (0, 0, 0)),
    "palette": (two_colours(None), RED),
    "palette, other colour transparent": (two_colours(0), RED),
    "palette, this colour transparent": (two_colours(1), WHITE),
    "palette, half transparent": (two_colours(bytes([255, 51])), (255, 204, 204)),
    "palette gif": (encoded(Image.new("RGB", (4, 4), RED), "gif"), RED),
    "alpha": (encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 51)), "png"), (255, 204, 204)),
    "alpha, transparent": (encoded(Image.new("RGBA", (4, 4), (9, 9, 9, 0)), "webp", lossless=True), WHITE),
    "grey with alpha": (encoded(Image.new("LA", (4, 4), (0, 51)), "png"), (204, 204, 204)),
    "CMYK jpeg": (encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpeg"), RED),
    "CMYK tiff": (encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "tiff"), RED),
    "16-bit RGB png": (png(2, 1, 16, b"\0" + struct.pack(">6H", *[257 * v for v in (10, 20, 30)] * 2)), (10, 20, 30)),
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


def test_images_of_mixed_sizes_and_kinds_share_a_folder_and_a_batch(tmp_path: Path) -> None:
    Image.new("L", (5, 9), 51).save(tmp_path / "a.png")
    Image.new("RGBA", (30, 4), (51, 51, 51, 255)).save(tmp_path / "b.tif")
    Image.new("CMYK", (8, 8), (204, 204, 204, 0)).save(tmp_path / "c.JPG")
    images = Images.from_folder(tmp_path)
    assert [(image.size, image.mode) for image in images] == [((5, 9), "RGB"), ((30, 4), "RGB"), ((8, 8), "RGB")]
    (batch,) = images.batches(16)
    assert batch.shape == (3, 3, 16, 16)
    torch.testing.assert_close(batch, torch.full_like(batch, 0.2), rtol=0, atol=0.01)


def test_only_the_image_asked_for_is_read() -> None:
    reads: list[int] = []

    def reader(i: int) -> Callable[[], bytes]:
        return lambda: reads.append(i) or encoded(Image.new("RGB", (3, 2)), "png")  # type: ignore[func-returns-value]

    images = Images([ImageItem(f"{i}.png", "", reader(i)) for i in range(9)])
    chosen = images.cropped("center").take([7, 5, 1])
    assert (len(chosen), chosen.names, reads) == (3, ["7.png", "5.png", "1.png"], [])
    assert chosen[1].size == (2, 2)
    next(images.batches(4, batch=2))
    assert reads == [5, 0, 1]


def test_an_image_comes_at_its_native_resolution(tmp_path: Path) -> None:
    values = noise(37, 53)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(Images.from_folder(tmp_path)[0]), values)


def frames(kind: str) -> bytes:
    pictures = [Image.fromarray(noise(8, 8, seed)) for seed in range(3)]
    return encoded(pictures[0], kind, save_all=True, append_images=pictures[1:])


WHOLE = {kind: encoded(Image.fromarray(noise(24, 24)), kind) for kind in ("png", "jpeg", "bmp", "tiff", "webp", "gif")}
BAD: dict[str, tuple[bytes, str]] = {
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


def test_a_file_that_vanished_is_named(photos: Path) -> None:
    images = Images.from_folder(photos)
    (photos / "3.png").unlink()
    with pytest.raises(DataError, match=r"3\.png cannot be read \(No such file"):
        images[3]
    with pytest.raises(DataError, match=r"3\.png cannot be read"):
        images.hashes()


@pytest.mark.parametrize("size", [(9, 4), (4, 9), (7, 7), (2, 9), (1, 1)])
def test_the_middle_crop_is_the_largest_square_as_central_as_whole_pixels_allow(size: tuple[int, int]) -> None:
    values = noise(size[1], size[0])
    cropped = np.asarray(in_memory(Image.fromarray(values), crop="center")[0])
    side = min(size)
    y, x = (size[1] - side) // 2, (size[0] - side) // 2
    np.testing.assert_array_equal(cropped, values[y : y + side, x : x + side])


@pytest.mark.parametrize(("x", "y", "width", "height"), [(0, 0, 9, 5), (2, 1, 3, 4), (8, 4, 1, 1)])
def test_a_crop_is_x_y_width_height(x: int, y: int, width: int, height: int) -> None:
    values = noise(5, 9)
    cropped = in_memory(Image.fromarray(values)).cropped(parse_crop(f"{x},{y},{width},{height}"))[0]
    np.testing.assert_array_equal(np.asarray(cropped), values[y : y + height, x : x + width])


@pytest.mark.parametrize("crop", [(0, 0, 10, 5), (0, 0, 9, 6), (9, 0, 1, 1), (0, 5, 1, 1)])
def test_a_crop_that_leaves_the_image_names_it(crop: Crop) -> None:
    with pytest.raises(DataError, match=r"leaves 0\.png, which is 9 x 5 pixels"):
        in_memory(Image.fromarray(noise(5, 9)), crop=crop)[0]


def test_a_crop_counts_in_pixels_of_the_upright_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(5, 9)).save(tmp_path / "a.png", exif=exif)
    images = Images.from_folder(tmp_path)
    assert images.cropped((0, 0, 5, 9))[0].size == (5, 9)


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "", "middle", "1.5,0,4,4", "-1,0,4,4", "0,0,0,4"])
def test_a_crop_that_is_no_crop_says_what_one_is(text: str) -> None:
    with pytest.raises(DataError, match=r"crop must .*width.*height"):
        parse_crop(text)


def test_batches_keep_the_order_the_shape_and_the_range() -> None:
    images = in_memory(*(Image.new("RGB", (6 + i, 5), (25 * i, 255, 0)) for i in range(7)))
    batches = list(images.batches(8, batch=3))
    assert [tuple(batch.shape) for batch in batches] == [(3, 3, 8, 8), (3, 3, 8, 8), (1, 3, 8, 8)]
    assert {batch.dtype for batch in batches} == {torch.float32}
    torch.testing.assert_close(torch.cat(batches)[:, 0, 4, 4], torch.arange(7) * 25 / 255)
    assert (torch.cat(batches).min().item(), torch.cat(batches).max().item()) == (0, 1)


def test_an_image_of_the_right_size_is_not_touched_and_comes_back() -> None:
    values = noise(12, 12)
    tensor = to_tensor(Image.fromarray(values), 12)
    np.testing.assert_array_equal(np.asarray(to_pil(tensor)), values)
    np.testing.assert_array_equal(in_memory(Image.fromarray(values)).pixels(12)[0].permute(1, 2, 0), values)


def test_an_image_is_squashed_with_antialiasing() -> None:
    stripes = np.zeros((64, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    tensor = to_tensor(Image.fromarray(stripes), 8)
    assert tensor.shape == (3, 8, 8)
    torch.testing.assert_close(tensor, torch.full((3, 8, 8), 0.5), rtol=0, atol=0.02)


def test_to_pil_clips_and_rounds() -> None:
    image = to_pil(torch.tensor([-1.0, 0.0, 0.5, 2.0]).expand(3, 1, 4))
    assert [image.getpixel((x, 0)) for x in range(4)] == [(0,) * 3, (0,) * 3, (128,) * 3, (255,) * 3]


def test_the_smallest_detail_is_two_pixels_of_the_most_shrunken_image() -> None:
    images = in_memory(Image.new("RGB", (64, 20)), Image.new("RGB", (30, 100)), Image.new("RGB", (8, 8)))
    assert images.smallest_detail(32) == math.ceil(2 * 100 / 32) == 7
    assert images.take([2]).smallest_detail(32) == 1


def test_hashes_are_of_the_bytes_as_stored(photos: Path) -> None:
    expected = [hashlib.sha256((photos / f"{i}.png").read_bytes()).hexdigest() for i in range(6)]
    assert Images.from_folder(photos).cropped("center").hashes() == expected


def test_a_folder_gives_its_images_by_name_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "c.Tiff", "10.webp", "9.bmp", ".hidden.png", "._a.jpg"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    for name in ("notes.txt", "Thumbs.db", "png", "a.png.part"):
        (tmp_path / name).write_text("no image")
    (tmp_path / "folder.png").mkdir()
    assert Images.from_folder(tmp_path).names == ["10.webp", "9.bmp", "a.JPG", "b.png", "c.Tiff"]


@pytest.mark.parametrize("inner", ["train/good", "good"])
def test_a_folder_whose_images_lie_deeper_says_where(inner: str, tmp_path: Path) -> None:
    (tmp_path / inner).mkdir(parents=True)
    with pytest.raises(DataError, match="no images in") as caught:
        Images.from_folder(tmp_path)
    assert f"name {tmp_path / inner} if" in str(caught.value)


def test_what_is_no_folder_of_images_is_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = {"gone": "does not exist", "good/0.png": "is a file", "empty": "no images in", "x" * 300: "cannot be read"}
    for name, reason in found.items():
        with pytest.raises(DataError, match=reason) as caught:
            Images.from_folder(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
