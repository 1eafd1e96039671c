"""Masks are looked at before any work that they could spoil."""

from pathlib import Path

import numpy as np
import pytest
import tiny_sets
from PIL import Image

from normalgen.data.category import Category
from normalgen.data.mask_check import check_masks, need_masks
from normalgen.data.readers.brain_mri import brain_mri
from normalgen.data.readers.mvtec import mvtec_category
from normalgen.errors import DataError


def spoil(file: Path, how: str) -> None:
    """Replace a sound mask of a photo of 12 x 10 pixels."""
    ring = np.zeros((10, 12), np.uint16)
    ring[2:5, 3:9] = 7
    if how == "missing":
        file.unlink()
    elif how == "of another size":
        tiny_sets.mask(file, (12, 11), box=(1, 1, 5, 5))
    elif how == "turned":
        tiny_sets.mask(file, (10, 12), box=(1, 1, 5, 5))
    elif how == "marks nothing":
        tiny_sets.mask(file)
    elif how == "transparent":
        Image.new("RGBA", (12, 10), (255, 255, 255, 0)).save(file)
    elif how == "cut off":
        file.write_bytes(file.read_bytes()[:60])
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "text":
        file.write_text("a mask")
    elif how == "16 bits":
        Image.fromarray(ring).save(file)
    elif how == "32 bits":
        Image.fromarray(ring.astype(np.int32)).save(file.with_suffix(".tif"))
        file.unlink()
    elif how == "bilevel":
        Image.fromarray(ring > 0).save(file)
    elif how == "palette":
        Image.fromarray(ring.astype(np.uint8)).convert("P").save(file)


def part(root: Path, how: str) -> Category:
    tiny_sets.mvtec(root, "screw")
    spoil(root / "screw/ground_truth/scratch/001_mask.png", how)
    return mvtec_category(root, "screw", "mine", bare=True)


BAD = {
    "missing": "001.png is anomalous (scratch) and has no mask",
    "of another size": "001_mask.png has (12, 11) pixels and its image (12, 10); they must agree",
    "turned": "001_mask.png has (10, 12) pixels and its image (12, 10)",
    "marks nothing": "001_mask.png marks nothing, but its image is anomalous: scratch",
    "transparent": "001_mask.png marks nothing",
    "cut off": "001_mask.png cannot be read",
    "empty": "001_mask.png is empty (0 bytes)",
    "text": "001_mask.png cannot be read as an image",
}


@pytest.mark.parametrize(("how", "message"), BAD.items())
def test_a_mask_that_cannot_be_used_is_named_in_one_line(how: str, message: str, tmp_path: Path) -> None:
    screw = part(tmp_path, how)
    checked = check_masks(screw.tests)
    assert len(checked.problems) == 1
    assert message in checked.problems[0]
    (line,) = checked.lines
    assert line.startswith("1 mask cannot be used, so pixels are not measured (images are); the first: ")
    with pytest.raises(DataError, match="1 mask cannot be used; the first: "):
        need_masks([screw], 32)


@pytest.mark.parametrize("how", ["as it is", "16 bits", "32 bits", "bilevel", "palette"])
def test_sound_masks_pass_whatever_their_depth(how: str, tmp_path: Path) -> None:
    checked = check_masks(part(tmp_path, how).tests, 8)
    assert (checked.masks, checked.problems, checked.regions) == (2, (), 2)


def test_a_set_without_masks_has_nothing_to_check(tmp_path: Path) -> None:
    tiny_sets.brain_mri(tmp_path)
    assert check_masks(brain_mri(tmp_path).tests).lines == []


def test_masks_that_may_be_inverted_are_named(tmp_path: Path) -> None:
    tiny_sets.mvtec(tmp_path, "screw")
    tiny_sets.mask(tmp_path / "screw/ground_truth/scratch/001_mask.png", box=(0, 0, 12, 9))
    (line,) = check_masks(mvtec_category(tmp_path, "screw", "mine", bare=True).tests).lines
    assert line.startswith("1 of 2 masks mark more than half of their image; is ")
    assert line.endswith("001_mask.png inverted?")
