"""What files tell before they are decoded."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, decode
from normalgen.images.images import Images
from normalgen.images.peek import count_values, smallest_detail, upright_size


def item(path: Path) -> ImageItem:
    return ImageItem(path.name, str(path), path.read_bytes)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("turned", range(1, 9))
def test_the_size_in_the_header_is_that_of_the_upright_image(turned: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    noise(30, 20).save(tmp_path / "a.jpg", exif=exif)
    assert upright_size(item(tmp_path / "a.jpg")) == decode(item(tmp_path / "a.jpg")).size


@pytest.mark.parametrize("crop", [None, "center", (1, 2, 700, 40)])
def test_the_smallest_detail_is_that_of_the_decoded_images(crop: str | None, tmp_path: Path) -> None:
    for width, height in ((1000, 300), (640, 800)):
        noise(width, height).save(tmp_path / f"{width}.bmp")
    images = Images.from_folder(tmp_path).cropped("center" if crop == "center" else None)
    if crop in (None, "center"):
        assert smallest_detail(images.items, crop, 64) == images.smallest_detail(64)
    else:
        assert smallest_detail(images.items, crop, 64) == 22


def test_images_in_memory_have_sizes_too() -> None:
    buffer = BytesIO()
    noise(7, 5).save(buffer, "png")
    assert upright_size(ImageItem("a", "a", buffer.getvalue)) == (7, 5)


@pytest.mark.parametrize("data", [b"", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_image_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(data)
    for peek in (upright_size, count_values):
        with pytest.raises(DataError, match=r"a\.png cannot be read as an image"):
            peek(item(tmp_path / "a.png"))


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif", "webp"])
def test_photos_have_many_values_and_masks_few(ending: str, tmp_path: Path) -> None:
    noise(300, 200).save(tmp_path / f"photo.{ending}")
    mask = Image.new("L", (300, 200))
    mask.paste(255, (40, 50, 90, 80))
    mask.save(tmp_path / f"mask.{ending}", lossless=True)
    assert count_values(item(tmp_path / f"photo.{ending}")) == 256
    assert count_values(item(tmp_path / f"mask.{ending}")) == 2
