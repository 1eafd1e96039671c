"""Photos that show nothing, or whose range would be lost, get one clear line; all others are read as they are."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from drawn_files import DRAW, Values, colour16, grey16, part
from PIL import Image

from normalgen.data.queries import find_queries
from normalgen.errors import DataError
from normalgen.images.decode import decode_mask, file_item
from normalgen.images.images import Images
from normalgen.images.listing import note_skipped
from normalgen.images.sources import as_images


def grey8(values: Values) -> bytes:
    return saved(Image.fromarray(values.clip(0, 255).astype(np.uint8)), "png")


def saved(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def tiff16(values: Values, compression: str | None = None, planarconfig: str | None = None) -> bytes:
    stream, stored = io.BytesIO(), values.clip(0, 65535).astype(np.uint16)
    tifffile.imwrite(stream, stored, photometric="rgb", compression=compression, planarconfig=planarconfig)
    return stream.getvalue()


def ppm16(values: Values) -> bytes:
    pixels = np.repeat(values.clip(0, 65535).astype(">u2")[..., None], 3, 2)
    return f"P6 {values.shape[1]} {values.shape[0]} 65535\n".encode() + pixels.tobytes()


def hot(values: Values, level: float) -> Values:
    values = values.copy()
    values[3, 5] = level
    return values


COLOUR = np.repeat(part(900, 3500)[..., None], 3, 2)
REFUSED = {
    "a lens cap": (grey8(part(2, 2)), "almost black"),
    "a lens cap with a hot pixel": (grey8(hot(part(2, 2), 255)), "almost black"),
    "one level": (grey8(part(90, 90, 0)), "almost constant"),
    "one level and a dead pixel": (grey8(hot(part(90, 90, 0), 0)), "almost constant"),
    "overexposed": (grey8(part(253, 254)), "almost"),
    "12 bits of grey": (grey16(part(900, 3500)), "as 12-bit cameras write.* by 16"),
    "12 bits of grey with a hot pixel": (grey16(hot(part(900, 3500), 65535)), "as 12-bit cameras write"),
    "14 bits of grey": (grey16(part(900, 15000)), "as 14-bit cameras write.* by 4"),
    "12 bits of colour": (colour16(part(900, 3500)), "as 12-bit cameras write.* by 16"),
    "12 bits of colour with a hot pixel": (colour16(hot(part(900, 3500), 65535)), "as 12-bit cameras write"),
    "12 bits of colour in a TIFF": (tiff16(COLOUR), "as 12-bit cameras write"),
    "12 bits of colour in a packed TIFF": (tiff16(COLOUR, compression="zlib"), "as 12-bit cameras write"),
    "12 bits of colour in planes": (tiff16(COLOUR.transpose(2, 0, 1), planarconfig="separate"), "separate planes"),
    "12 bits of colour in a PPM": (ppm16(part(900, 3500)), "as 12-bit cameras write"),
    "a narrow band of 16 bits": (grey16(part(30000, 30900)), "fill only [34] of 256 levels"),
    "a narrow band with a hot pixel": (grey16(hot(part(30000, 30900), 65535)), "fill only [34] of 256 levels"),
    "a narrow band of colour": (colour16(part(30000, 30900)), "fill only [34] of 256 levels"),
    "Encapsulated PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unknown format"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_photo_that_shows_nothing_or_loses_its_range_is_refused(kind: str, tmp_path: Path) -> None:
    data, message = REFUSED[kind]
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DataError, match=message):
        Images.from_folder(tmp_path).photo(0, 64)


ACCEPTED = {
    "a plate with nothing but noise": grey8(part(140, 140, 1.5)),
    "a dark field with a bright part": grey8(part(3, 90, 1)),
    "a small part on white": grey8(np.where(part(0, 1, 0, 200) > 2, 0, 0) + 255 - 120 * (np.mgrid[:200, :200][0] < 1)),
    "16 bits of grey": grey16(part(9000, 35000)),
    "16 bits of colour": colour16(part(9000, 35000)),
    "16 bits of colour in a PPM": ppm16(part(9000, 35000)),
    "PPM of 12 declared bits": f"P6 {8} {8} 4095\n".encode() + (np.arange(192) * 21).astype(">u2").tobytes(),
    "JPEG 2000": saved(Image.fromarray(part(30, 200).clip(0, 255).astype(np.uint8)), "jpeg2000"),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_a_photo_that_shows_little_is_read(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(ACCEPTED[kind])
    photo = Images.from_folder(tmp_path).photo(0, 64)
    assert int(photo.pixels.max()) > int(photo.pixels.min())


def test_a_crop_must_show_something_too(tmp_path: Path) -> None:
    values = part(120, 120, 0)
    values[:40] = DRAW.normal(120, 30, (40, 200))
    (tmp_path / "a.png").write_bytes(grey8(values))
    Images.from_folder(tmp_path)[0]
    with pytest.raises(DataError, match="almost constant"):
        Images.from_folder(tmp_path).cropped((0, 100, 100, 100))[0]


def test_arrays_are_held_to_the_same(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="image 1 shows nothing"):
        as_images(np.stack([part(20, 200, 2)[..., None].repeat(3, 2), np.zeros((200, 200, 3))]).astype(np.uint8))[1]


def test_a_dark_query_is_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(grey8(part(2, 2)))
    (tmp_path / "b.png").write_bytes(grey8(part(20, 200)))
    ((photos, errors),) = find_queries(tmp_path).batches(32, 4)
    assert [photo.name for photo in photos] == ["b.png"]
    assert "almost black" in errors["a.png"]


def test_every_ending_and_none_is_read_by_content(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = grey8(part(20, 200))
    names = ["a.png", "b.PGM", "c.jfif", "d.dat", "e", "f.png.bak", "g.bmp"]
    for name in names:
        (tmp_path / name).write_bytes(data)
    for name in ("h.txt", "i.npy", "j.dcm", "k.NEF", "l.eps", ".hidden.png"):
        (tmp_path / name).write_bytes(data if name == "k.NEF" else b"P1 is not a picture")
    assert Images.from_folder(tmp_path).names == names
    note_skipped(tmp_path)
    (line,) = caplog.messages
    assert all(
        f"1 {ending}" in line for ending in (".txt", ".npy (write", ".dcm (export", ".nef (develop", ".eps (exp")
    )


def test_a_pipe_is_skipped_and_never_opened(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "a.png").write_bytes(grey8(part(20, 200)))
    assert Images.from_folder(tmp_path).names == ["a.png"]
    note_skipped(tmp_path)
    assert "1 .png" in caplog.text
    with pytest.raises(DataError, match="not a regular file"):
        Images([file_item(tmp_path / "pipe.png")])[0]


def test_a_mask_of_16_bit_colour_is_refused_and_one_of_grey_is_read(tmp_path: Path) -> None:
    values = np.zeros((8, 8))
    values[2:4, 2:4] = 7
    (tmp_path / "grey.png").write_bytes(grey16(values))
    (tmp_path / "colour.png").write_bytes(colour16(values))
    assert decode_mask(file_item(tmp_path / "grey.png")).sum() == 4
    with pytest.raises(DataError, match="mask of 16-bit colour"):
        decode_mask(file_item(tmp_path / "colour.png"))


def test_names_of_any_bytes_come_through_as_different_texts(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    for name in (b"pi\xce.png", b"pi\\xce.png", "gr\u00fcn.png".encode(), b"two\nlines.png", b"[1].png"):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(grey8(part(20, 200)))
    names = Images.from_folder(tmp_path).names
    assert len(set(names)) == 5
    assert {"pi\\xce.png", "gr\u00fcn.png", "two\nlines.png", "[1].png"} < set(names)
    assert "".join(names).encode()
