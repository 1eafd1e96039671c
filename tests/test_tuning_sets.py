"""The tuning sets of `examples/tuning_sets.py`, a few photos of each."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from normalgen.data.readers.mvtec import mvtec_category

EXAMPLES = Path(__file__).parent.parent / "examples"
NAMES = ("connector", "flange", "blister", "cloth", "brick", "grass", "gravel")


@pytest.fixture(scope="module")
def sets() -> dict[str, Any]:
    path = sys.path.copy()
    sys.path.insert(0, str(EXAMPLES))
    found = importlib.import_module("tuning.sets").tuning_sets(Path("nowhere"))
    sys.path[:] = path
    return {one.name: one for one in found}


def draw(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / "tuning_sets.py"), str(root), "--train", "2", "--good", "2"]
    return subprocess.run([*command, "--defects", "1", *words], capture_output=True, text=True, cwd=root.parent)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.png"))}


def test_every_run_writes_the_same_bytes_in_the_layout_of_mvtec(tmp_path: Path) -> None:
    first, again = draw(tmp_path / "a", "--only", "flange"), draw(tmp_path / "b", "--only", "flange")
    assert first.returncode == again.returncode == 0, first.stderr
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert len(files(tmp_path / "a")) == 2 + 2 + 2 * 4
    category = mvtec_category(tmp_path / "a", "flange", "folder")
    assert len(category.normals) == 2
    assert {test.kind for test in category.tests} == {"good", "clogged", "nick", "corrosion", "graft"}
    assert all(test.marked((256, 256)).any() == test.label for test in category.tests)


def test_all_good_photos_differ(tmp_path: Path, sets: dict[str, Any]) -> None:
    for name in NAMES:
        photos = {sets[name].photo(split, i).tobytes() for split in ("train", "good") for i in range(3)}
        assert len(photos) == 6, name


@pytest.mark.parametrize("name", NAMES)
def test_masks_mark_where_the_defect_changes_the_photo(name: str, sets: dict[str, Any]) -> None:
    assert len(sets[name].kinds) == 4
    for kind in sets[name].kinds:
        image, mask = sets[name].defective(kind, 1, 2)
        change = np.abs(sets[name].photo(kind, 1).astype(int) - image).max(-1)
        assert image.shape == (256, 256, 3)
        assert set(np.unique(mask)) == {0, 255}
        assert change[mask == 0].max() < 8 <= change[mask > 0].max(), kind
        assert (change[mask > 0] >= 8).mean() > 0.4, kind


def test_train_and_test_are_cut_from_regions_that_do_not_overlap(sets: dict[str, Any]) -> None:
    for name in ("brick", "grass", "gravel"):
        with Image.open(Path(skimage.data.__file__).parent / f"{name}.png") as image:
            whole = np.asarray(image) / 255
        train, test = sets[name].draw.half(False), sets[name].draw.half(True)
        assert (train == whole[:, : train.shape[1]]).all(), name
        assert (test == whole[:, -test.shape[1] :]).all(), name
        assert train.shape[1] + test.shape[1] < whole.shape[1], name


def test_a_stronger_flaw_changes_more(sets: dict[str, Any]) -> None:
    for kind in ("nick", "graft", "corrosion"):
        faint, clear = (np.mean([sets["flange"].defective(kind, i, 8)[1] for i in five]) for five in ((0, 1), (6, 7)))
        assert faint < clear, kind


def test_a_set_whose_package_is_missing_says_how_to_get_it(tmp_path: Path) -> None:
    told = draw(tmp_path / "a", "--only", "cork")
    assert told.returncode == 1
    assert "apt-get download mypaint-data-extras" in told.stderr
    assert len(told.stderr.splitlines()) == 1
    assert "--only must be one of connector" in draw(tmp_path / "a", "--only", "cord").stderr
