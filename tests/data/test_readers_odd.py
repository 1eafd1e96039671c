"""Copies of data sets as they are found on real disks: renamed, half there, with what programs leave lying about."""

import gzip
import shutil
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_sets
from PIL import Image

from normalgen.data.find import find_category
from normalgen.data.registry import departures, find_dataset, found_datasets
from normalgen.errors import DataError
from normalgen.images.decode import ImageItem, decode_mask
from normalgen.references import choose


def stored(image: Image.Image, kind: str) -> ImageItem:
    buffer = BytesIO()
    image.save(buffer, kind)
    return ImageItem("mask", "mask", buffer.getvalue)


def marks(image: Image.Image, kind: str = "tiff") -> list[list[int]]:
    found: list[list[int]] = np.argwhere(decode_mask(stored(image, kind))).tolist()
    return found


def spot(value: int, kind: str = "uint8") -> Image.Image:
    values = np.zeros((10, 12), np.dtype(kind))
    values[4, 5] = value
    return Image.fromarray(values)


@pytest.mark.parametrize(
    "image", [spot(1), spot(255), spot(100, "uint16"), spot(1, "int32")], ids=lambda image: image.mode
)
def test_masks_mark_wherever_they_are_not_zero(image: Image.Image) -> None:
    assert marks(image) == [[4, 5]]


def test_transparent_pixels_of_masks_mark_nothing() -> None:
    layered = Image.new("RGBA", (12, 10), (255, 255, 255, 0))
    layered.putpixel((5, 4), (255, 255, 255, 255))
    assert marks(layered) == marks(layered.convert("LA")) == [[4, 5]]


def test_the_ringing_of_lossy_masks_marks_nothing() -> None:
    block = np.zeros((32, 32), np.uint8)
    block[9:21, 11:19] = 255
    assert np.argwhere(block).tolist() == marks(Image.fromarray(block), "jpeg")


def test_masks_of_a_wide_format_give_the_labels_of_columns(tmp_path: Path) -> None:
    root = tiny_sets.aitex(tmp_path)
    file = next((root / "Mask_images").rglob("0062*"))
    Image.open(file).point(lambda value: 255 * value).convert("LA").save(file)
    assert find_dataset("aitex").read(root, "aitex").counts == (6, 2, 4)


def test_what_programs_hide_in_folders_is_no_fabric_and_no_slice(tmp_path: Path) -> None:
    root = tiny_sets.aitex(tmp_path / "aitex")
    tiny_sets.picture(root / "NODefect_images/2306881-210020u/.ipynb_checkpoints/0001_000_00-checkpoint.png", (1024, 8))
    tiny_sets.picture(root / "NODefect_images/.Trash-1000/x.png", (1024, 8))
    assert find_dataset("aitex").read(root, "aitex").counts == (6, 2, 4)
    slices = tiny_sets.resc(tmp_path / "resc")
    tiny_sets.picture(slices / "Edema_trainingset/original_images/.Trash-1000/x.png")
    assert find_dataset("resc").read(slices, "resc").counts == (4, 4, 2)


def test_the_same_fabric_twice_is_refused(tmp_path: Path) -> None:
    root = tiny_sets.aitex(tmp_path)
    tiny_sets.picture(root / "NODefect_images/2306881-210020u/0001_000_00.bmp", (1024, 8))
    with pytest.raises(DataError, match="are the same image twice; remove one"):
        find_dataset("aitex").read(root, "aitex")


def test_a_set_in_capitals_is_read_with_its_masks(tmp_path: Path) -> None:
    root = tiny_sets.mvtec(tmp_path, "screw")
    for file in list(root.rglob("*.png")):
        file.rename(file.with_suffix(".PNG"))
    (root / "screw/test/good").rename(root / "screw/test/Good")
    screw = find_dataset("mvtec").read(root, "screw")
    assert screw.labels == [0, 0, 0, 1, 1]
    assert all(test.load(16)[1].any() for test in screw.tests if test.label)


def test_without_training_images_references_come_from_the_validation_ones_and_it_is_said(tmp_path: Path) -> None:
    root = tiny_sets.bmad(tmp_path / "Retina_RESC_AD", masks="label", train=False)
    found = find_dataset("resc").read(tmp_path, "resc")
    assert found.counts == (3, 3, 3)
    assert departures(found) == [
        f"{root} has no folder train; references come from valid/good",
        "3 / 3 / 3 images, not the 4297 / 1041 / 764 of the whole set",
    ]


def test_resc_without_its_masks_is_not_taken_for_oct2017(tmp_path: Path) -> None:
    tiny_sets.bmad(tmp_path / "Retina_RESC_AD/RESC")
    assert [dataset.name for dataset, _ in found_datasets(tmp_path)] == ["resc"]
    with pytest.raises(DataError, match="must hold the folder label or anomaly_mask"):
        find_dataset("resc").read(tmp_path, "resc")


@pytest.mark.parametrize("name", ["Brain_AD", "Chest_AD"])
@pytest.mark.parametrize("masks", ["", "label"])
def test_other_sets_of_bmad_are_neither(name: str, masks: str, tmp_path: Path) -> None:
    root = tiny_sets.bmad(tmp_path / name, masks=masks)
    for wanted in ("resc", "oct2017"):
        with pytest.raises(DataError, match="does not hold"):
            find_dataset(wanted).read(root, wanted)


def test_head_ct_is_found_from_above_in_a_folder_called_as_its_images(tmp_path: Path) -> None:
    tiny_sets.head_ct(tmp_path / "head_ct")
    assert find_dataset("head-ct").read(tmp_path, "head-ct").counts == (3, 2, 5)


def test_half_of_mnist_is_told_of_by_its_own_file_names(tmp_path: Path) -> None:
    root = tiny_sets.mnist(tmp_path)
    for file in root.glob("t10k-*"):
        file.unlink()
    with pytest.raises(DataError, match=r"must hold t10k-images-idx3-ubyte.gz, found train-images-idx3-ubyte.gz"):
        find_dataset("mnist").read(root, "3")


def test_an_unpacked_file_is_read_before_its_damaged_archive(tmp_path: Path) -> None:
    root = tiny_sets.mnist(tmp_path)
    packed = root / "train-labels-idx1-ubyte.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.write_bytes(b"")
    assert len(find_dataset("mnist").read(root, "3").normals) == 4


def test_a_cut_off_file_of_digits_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tiny_sets.mnist(tmp_path)
    file = root / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:-20])
    unpacked: list[int] = []
    monkeypatch.setattr(gzip, "open", partial(_counting, unpacked, gzip.open))
    categories = [find_dataset("mnist").read(root, name) for name in "38"]
    before = len(unpacked)
    for category in categories:
        for item in category.normals.items:
            with pytest.raises(DataError, match="cannot be unpacked"):
                item.read()
    assert len(unpacked) == before + 1


def _counting(calls: list[int], real: Callable[..., Any], file: Path) -> Any:
    calls.append(1)
    return real(file)


def test_generate_and_evaluate_choose_the_same_shots_whatever_the_folder_is_called(tmp_path: Path) -> None:
    chosen = set()
    for folder in ("mvtec", "MVTec_AD", "mvtec_anomaly_detection"):
        root = tmp_path / folder
        for number in range(9):
            tiny_sets.picture(root / f"screw/train/good/{number}.png")
        shutil.copytree(tiny_sets.mvtec(tmp_path / "parts", "screw") / "screw/test", root / "screw/test")
        shutil.copytree(tmp_path / "parts/screw/ground_truth", root / "screw/ground_truth")
        for category in (find_category("screw", root), find_dataset("mvtec").read(root, "screw")):
            shots = choose(
                category.normals, 3, dataset=category.dataset, category=category.name, noun=category.noun, seed=0
            )
            chosen.add(tuple(shots.images.names))
    assert len(chosen) == 1


@pytest.mark.parametrize("name", ["elpv", "elpv-mono", "elpv-poly"])
def test_no_cell_that_is_tested_on_becomes_a_reference(name: str) -> None:
    tested = set(find_dataset(name).read(None, name).queries.names)
    assert not tested & set(find_category(name, None).normals.names)
