"""How large photos are cut into tiles."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image

from normalgen.errors import DataError
from normalgen.images.images import Images
from normalgen.images.tiles import mixed, tiled, windows
from normalgen.references import References


def photos(folder: Path) -> Images:
    """A photo of 100 x 60 pixels and one of 60 x 100 that is stored on its side."""
    for name, size, turned in (("a", (100, 60), 1), ("b", (100, 60), 6)):
        exif = Image.Exif()
        exif[0x0112] = turned
        Image.linear_gradient("L").resize(size).convert("RGB").save(folder / f"{name}.png", exif=exif)
    return Images.from_folder(folder)


@pytest.mark.parametrize(("width", "height", "side"), [(4000, 3000, 512), (512, 512, 512), (513, 512, 512), (7, 9, 32)])
def test_tiles_cover_a_photo_evenly_and_end_at_its_border(width: int, height: int, side: int) -> None:
    covered = torch.zeros(height, width, dtype=torch.int)
    for x, y, across, down in windows(width, height, side):
        assert (across, down) == (min(side, width), min(side, height))
        assert x + across <= width
        assert y + down <= height
        covered[y : y + down, x : x + across] += 1
    assert covered.min() == 1


def test_neighbouring_tiles_share_at_least_a_quarter() -> None:
    starts = sorted({x for x, *_ in windows(4000, 512, 512)})
    assert max(after - before for before, after in pairwise(starts)) <= 384
    assert starts[-1] == 4000 - 512


def test_tiles_are_cut_from_the_upright_and_cropped_photo(tmp_path: Path) -> None:
    images = photos(tmp_path)
    assert images.sizes() == [(100, 60), (60, 100)] == [image.size for image in images]
    cut = tiled(images.cropped((0, 0, 50, 60)), 40)
    assert cut.names == ["a.png@0,0", "a.png@10,0", "a.png@0,20", "a.png@10,20"] + [
        f"b{name[1:]}" for name in cut.names[:4]
    ]
    assert cut[3].tobytes() == images[0].crop((10, 20, 50, 60)).tobytes()
    assert len({photo.key for photo in next(cut.photos(32))}) == len(cut)
    assert cut.hashes() == [digest for digest in images.hashes() for _ in range(4)]


def test_mixed_tiles_are_the_same_ones_every_time(tmp_path: Path) -> None:
    cut = tiled(photos(tmp_path), 40)
    some = mixed(cut, 5).names
    assert some == mixed(cut, 5).names
    assert len(set(some)) == 5


def test_references_are_cut_if_asked_and_say_so_in_their_identity(tmp_path: Path) -> None:
    photos(tmp_path)
    whole, cut = References.from_folder(tmp_path), References.from_folder(tmp_path, tile=40)
    assert whole.pieces is whole.images
    assert "tile" not in whole.identity()
    assert (cut.identity()["tile"], len(cut.images), len(cut.pieces)) == (40, 2, 2 * len(cut.tiles(0)))
    with pytest.raises(DataError, match="at least 32 pixels"):
        References.from_folder(tmp_path, tile=8)
