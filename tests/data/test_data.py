import csv
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import elpv_dataset
import pytest
from PIL import Image

from normalgen.data.category import category_noun, check_name
from normalgen.data.find import find_category, folder_category
from normalgen.errors import DataError, MissingDependency

ELPV_FOLDER = Path(elpv_dataset.__file__).parent / "data"


@pytest.fixture
def root(photos: Path, tmp_path: Path) -> Path:
    """Two categories in MVTec layout, with a defect in each; and a folder that is none."""
    for name in ("metal_nut", "bottle"):
        good = tmp_path / "mvtec" / name / "train" / "good"
        good.mkdir(parents=True)
        for path in list(photos.iterdir())[:4]:
            (good / path.name).write_bytes(path.read_bytes())
        (tmp_path / "mvtec" / name / "test" / "scratch").mkdir(parents=True)
        (tmp_path / "mvtec" / name / "test" / "scratch" / "9.png").write_bytes((photos / "5.png").read_bytes())
    (tmp_path / "mvtec" / "notes").mkdir()
    return tmp_path / "mvtec"


def elpv_rows() -> Iterator[tuple[str, float, str]]:
    with (ELPV_FOLDER / "labels.csv").open() as file:
        for path, probability, kind in csv.reader(file, delimiter=" ", skipinitialspace=True):
            yield path, float(probability), kind


@pytest.mark.parametrize(("name", "kind", "count"), [("elpv-mono", "mono", 588), ("elpv-poly", "poly", 920)])
def test_elpv_gives_the_cells_without_any_defect(name: str, kind: str, count: int) -> None:
    cells = find_category(name, None)
    expected = sorted(Path(path).name for path, probability, each in elpv_rows() if (probability, each) == (0, kind))
    good = [test.image.name for test in cells.tests if not test.label]
    assert sorted(cells.normals.names + good) == expected
    assert cells.normals.names == sorted(cells.normals.names)
    assert len(expected) == count
    assert (cells.dataset, cells.name, cells.noun) == (name, name, "solar cell")


def test_elpv_cells_are_the_published_pictures() -> None:
    cells = find_category("elpv-poly", None).normals
    assert [cells[i].size for i in (0, -1)] == [(300, 300)] * 2
    with Image.open(ELPV_FOLDER / "images" / cells.names[3]) as stored:
        assert cells[3].tobytes() == stored.convert("RGB").tobytes()


def test_no_elpv_cell_is_in_both_categories() -> None:
    every = Counter(find_category("elpv-mono", None).normals.names + find_category("elpv-poly", None).normals.names)
    assert set(every.values()) == {1}
    assert len(every) == 441 + 690


def test_elpv_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "elpv_dataset", None)
    with pytest.raises(MissingDependency, match=re.escape("pip install elpv-dataset")):
        find_category("elpv-mono", None)


def test_a_root_in_mvtec_layout_gives_its_good_training_images(root: Path) -> None:
    nut = find_category("metal_nut", root)
    assert nut.normals.names == sorted(path.name for path in (root / "metal_nut/train/good").iterdir())
    assert len(nut.normals) == 4
    assert (nut.dataset, nut.name, nut.noun) == ("mvtec", "metal_nut", "metal nut")


def test_a_built_in_is_found_beside_a_root_and_gives_way_to_it(root: Path) -> None:
    assert find_category("elpv-mono", root).dataset == "elpv-mono"
    (root / "bottle").rename(root / "elpv-mono")
    assert find_category("elpv-mono", root).dataset == "mvtec"


def test_an_unknown_category_lists_what_there_is(root: Path) -> None:
    with pytest.raises(DataError, match="no category is called 'capsule'") as caught:
        find_category("capsule", root)
    assert "there is elpv, elpv-mono, elpv-poly, bottle, metal_nut." in str(caught.value)
    assert "notes" not in str(caught.value)


def test_the_lines_that_an_unknown_category_prints_would_work(root: Path) -> None:
    with pytest.raises(DataError) as caught:
        find_category("capsule", None)
    lines = str(caught.value)
    assert "normalgen generate FOLDER_OF_GOOD_PHOTOS --category capsule" in lines
    assert "NORMALGEN_DATA=ROOT normalgen generate --category capsule" in lines
    (layout,) = re.findall(r"ROOT/(capsule/\S+),", lines)
    (root / layout).parent.mkdir(parents=True)
    (root / "bottle/train/good").rename(root / layout)
    assert len(find_category("capsule", root).normals) == 4


def test_a_root_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data folder .*gone does not exist; .*nut/train/good"):
        find_category("nut", tmp_path / "gone")


def test_a_category_without_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "nut" / "train" / "good").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no images in .*good"):
        find_category("nut", tmp_path)


BAD_NAMES = ["", "..", ".", "a/b", "../a", "/a", "a..b", "a\\b", " a", "a ", "a.", ".a", "a\n", "a:b", "a*", "x" * 101]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_could_leave_its_folder_is_refused(name: str, root: Path) -> None:
    for refuse in (lambda: check_name(name), lambda: find_category(name, root)):
        with pytest.raises(DataError, match="a category name has letters") as caught:
            refuse()
        assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["metal_nut", "elpv-mono", "v1.2", "Prüfling", "two words", "7", "x" * 100])
def test_a_name_that_can_name_a_folder_is_taken(name: str, tmp_path: Path) -> None:
    (tmp_path / check_name(name)).mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_is_a_category_by_its_own_name_or_another(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    assert folder_category(Path()).name == "good"
    bracket = folder_category(photos, "steel-bracket")
    assert (bracket.dataset, bracket.name, bracket.noun) == ("folder", "steel-bracket", "steel bracket")
    assert len(bracket.normals) == 6


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("bracket/good", "bracket"),
        ("metal_nut/train/good", "metal_nut"),
        ("screw/OK", "screw"),
        ("good/train/normal", "normal"),
        ("good", "good"),
        ("my (parts)/good", "good"),
        ("bracket/good parts", "good parts"),
    ],
)
def test_a_folder_that_says_nothing_is_named_by_the_one_above(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, name: str
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    photos.rename(folder)
    assert folder_category(Path(folder)).name == name
    assert folder_category(Path(folder), "mine").name == "mine"


def test_a_folder_whose_name_is_no_category_name_says_to_give_one(photos: Path) -> None:
    odd = photos.rename(photos.with_name("good (1)"))
    with pytest.raises(DataError, match=r"got 'good \(1\)'; give another with --category"):
        folder_category(odd)
    assert folder_category(odd, "good").name == "good"


@pytest.mark.parametrize(("name", "noun"), [("metal_nut", "metal nut"), ("pcb-4", "pcb 4"), ("screw", "screw")])
def test_the_noun_of_a_category_is_its_name_with_spaces(name: str, noun: str) -> None:
    assert category_noun(name) == noun
