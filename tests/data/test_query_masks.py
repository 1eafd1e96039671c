"""Which masks belong to photos that are judged."""

from pathlib import Path

import pytest
from PIL import Image

from normalgen.data.labels import LabelNames
from normalgen.data.queries import find_queries


def picture(path: Path, kind: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.radial_gradient("L").convert("RGB") if kind == "RGB" else Image.new("L", (256, 256))
    if kind != "RGB":
        image.paste(255, (10, 10, 60, 60))
    image.save(path)


@pytest.fixture
def test(tmp_path: Path) -> Path:
    for name in ("good/1", "scratch/1", "scratch/2", "hole/3"):
        picture(tmp_path / "test" / f"{name}.png")
    return tmp_path / "test"


def masks(path: Path) -> dict[str, str]:
    found = find_queries(path, said=LabelNames()).masks
    return {name: Path(mask.source).relative_to(path.parent).as_posix() for name, mask in found.items()}


WHOLE = {"scratch/1.png", "scratch/2.png", "hole/3.png"}


@pytest.mark.parametrize(
    ("folder", "ending"), [("ground_truth", "_mask"), ("ground_truth", ""), ("masks", "_gt"), ("GT", "")]
)
def test_masks_of_a_published_layout_are_next_to_the_folder_test(test: Path, folder: str, ending: str) -> None:
    for name in ("scratch/1", "scratch/2", "hole/3"):
        picture(test.parent / folder / f"{name}{ending}.png", "L")
    found = masks(test)
    assert found == {f"{name}.png": f"{folder}/{name}{ending}.png" for name in ("scratch/1", "scratch/2", "hole/3")}


def test_masks_next_to_a_folder_of_another_name_are_of_other_photos(test: Path) -> None:
    picture(test.parent / "ground_truth/scratch/1_mask.png", "L")
    test.rename(test.parent / "monday")
    assert masks(test.parent / "monday") == {}


def test_masks_beside_their_photos_in_named_folders_and_in_one_folder_for_all(test: Path) -> None:
    picture(test / "scratch/1_mask.png", "L")
    picture(test / "hole_gt/3.png", "L")
    assert masks(test) == {"scratch/1.png": "test/scratch/1_mask.png", "hole/3.png": "test/hole_gt/3.png"}
    picture(test / "mask/2.png", "L")
    assert masks(test)["scratch/2.png"] == "test/mask/2.png"
    assert masks(test).keys() == WHOLE


def test_one_folder_of_masks_is_ambiguous_where_two_kinds_share_a_name(test: Path) -> None:
    picture(test / "hole/1.png")
    picture(test / "mask/1.png", "L")
    picture(test / "mask/3.png", "L")
    assert masks(test) == {}
