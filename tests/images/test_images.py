import hashlib
import io
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from normalgen.errors import DataError
from normalgen.images.crop import Crop, parse_crop
from normalgen.images.decode import ImageItem
from normalgen.images.images import Images, is_grey, stacked, to_pil, to_tensor


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "png")
    return stream.getvalue()


def noise(height: int, width: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def in_memory(*pictures: Image.Image, crop: str | Crop | None = None) -> Images:
    data = [png(picture) for picture in pictures]
    return Images([ImageItem(f"{i}.png", f"{i}.png", lambda each=each: each) for i, each in enumerate(data)], crop)  # type: ignore[misc]


def test_images_of_mixed_sizes_and_kinds_share_a_folder_and_a_batch(tmp_path: Path) -> None:
    Image.new("L", (5, 9), 51).save(tmp_path / "a.png")
    Image.new("RGBA", (30, 4), (51, 51, 51, 255)).save(tmp_path / "b.tif")
    Image.new("CMYK", (8, 8), (204, 204, 204, 0)).save(tmp_path / "c.JPG")
    images = Images([replace(item, is_photo=False) for item in Images.from_folder(tmp_path).items])
    assert [(image.size, image.mode) for image in images] == [((5, 9), "RGB"), ((30, 4), "RGB"), ((8, 8), "RGB")]
    (batch,) = images.batches(16)
    assert batch.shape == (3, 3, 16, 16)
    torch.testing.assert_close(batch, torch.full_like(batch, 0.2), rtol=0, atol=0.01)


def test_only_the_image_asked_for_is_read() -> None:
    reads: list[int] = []

    def reader(i: int) -> Callable[[], bytes]:
        return lambda: reads.append(i) or png(Image.new("RGB", (3, 2)))  # type: ignore[func-returns-value]

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
    with pytest.raises(DataError, match=r"extends beyond 0\.png, which is 9 x 5 pixels"):
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


def test_a_small_coloured_mark_makes_no_grey_photo() -> None:
    grey = torch.full((2, 3, 64, 64), 120, dtype=torch.uint8)
    assert is_grey(grey)
    grey[1, 0, 10:16, 10:16] = 255
    assert not is_grey(grey)


@pytest.mark.parametrize("most", [1023, 4095, 16383])
def test_ten_to_fourteen_bits_in_sixteen_are_refused(most: int, tmp_path: Path) -> None:
    for highest, name in ((most, "dark.png"), (65535, "full.png")):
        values = np.linspace(0, highest, 64 * 64).astype(np.uint16).reshape(64, 64)
        Image.fromarray(values).save(tmp_path / name)
    dark, full = Images.from_folder(tmp_path).take([0]), Images.from_folder(tmp_path).take([1])
    with pytest.raises(
        DataError, match=f"as {most.bit_length()}-bit cameras write.* multiply its values by {65536 // (most + 1)}"
    ):
        dark[0]
    assert np.asarray(full[0]).max() == 255


def counting(reads: list[str], name: str, picture: Image.Image) -> ImageItem:
    data = png(picture)
    return ImageItem(name, name, lambda: reads.append(name) or data)  # type: ignore[func-returns-value]


def test_kept_images_are_read_once_whatever_is_asked_of_them_and_their_parts(decoded: Counter[str]) -> None:
    reads: list[str] = []
    images = Images([counting(reads, name, Image.fromarray(noise(9, 12, i))) for i, name in enumerate("abc")]).kept()
    digests, middle = images.hashes(), images.cropped("center")
    middle.smallest_detail(8)
    first = middle.take([1, 0]).pixels(8)
    assert torch.equal(first, middle.pixels(8)[[1, 0]])
    assert torch.equal(next(middle.batches(8)), middle.pixels(8).float() / 255)
    assert middle.kept().hashes() == digests
    assert sorted(reads) == ["a", "b", "c"]
    assert decoded == {"a": 1, "b": 1, "c": 1}


def test_hashes_decode_nothing_and_hold_no_bytes_of_images_that_are_not_kept(decoded: Counter[str]) -> None:
    reads: list[str] = []
    images = Images([counting(reads, "a", Image.new("RGB", (3, 3)))])
    assert images.hashes() == images.take([0]).hashes()
    assert reads == ["a"]
    assert not decoded
    images.pixels(3)
    images.pixels(3)
    assert reads == ["a", "a", "a"]


def test_a_photo_carries_its_hash_its_own_size_and_a_picture_where_asked() -> None:
    images = in_memory(Image.fromarray(noise(30, 40)), crop=(0, 0, 40, 20))
    photo = images.photo(0, 8, side=10)
    assert (photo.name, photo.width, photo.height, photo.pixels.shape) == ("0.png", 40, 20, (3, 8, 8))
    assert photo.key == f"{images.hashes()[0]}-(0, 0, 40, 20)"
    assert photo.picture is not None
    assert photo.picture.size == (10, 5)
    assert images.photo(0, 8).picture is None
    torch.testing.assert_close(stacked([photo])[0], to_tensor(images[0], 8), rtol=0, atol=0)
