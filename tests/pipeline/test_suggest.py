"""Suggests unlabeled photos to confirm, and adds confirmed ones to the references."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import normalgen as ng
from normalgen.cli.app import run
from normalgen.errors import DataError
from normalgen.pipeline.suggest import ADDS, ASKED, confirm


def photo(path: Path, seed: int, mark: bool = False) -> None:
    """A grained disc on a table; `mark` adds the same dark bar to it."""
    draw, (y, x) = np.random.default_rng(seed), np.mgrid[:96, :96]
    grey = np.where((x - 48 - draw.normal(0, 2)) ** 2 + (y - 48) ** 2 < 900, 170.0, 70.0)
    grey += draw.normal(0, 6, (96, 96))
    if mark:
        grey[40:56, 36:60] = 10
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for i in range(2):
        photo(tmp_path / "good" / f"g{i}.png", i)
    for i in range(16):
        photo(tmp_path / "line" / f"{'m' if i < 4 else 'p'}{i:02d}.png", 10 + i, mark=i < 4)
    return tmp_path


def test_a_shared_mark_is_asked_about_first_and_the_page_shows_what_is_suggested(line: Path) -> None:
    found = ng.suggest("line", ng.References.from_folder("good"), show=3, progress=False)
    assert found.reasons == (ASKED, ADDS, ADDS)
    assert [name[0] for name in found.images.names] == ["m", "p", "p"]
    page = (found.folder / "report.html").read_text()
    assert all(name in page for name in found.images.names)


def test_confirmed_photos_join_the_references_unless_another_photo_has_their_name(line: Path) -> None:
    run_suggest = ["suggest", "line", "--references", "good"]
    with pytest.raises(SystemExit) as ended:
        run([*run_suggest, "--confirm", "p05.png", "--confirm", "p06.png"])
    assert ended.value.code == 0
    assert sorted(path.name for path in Path("good").iterdir()) == ["g0.png", "g1.png", "p05.png", "p06.png"]
    assert Path("good/p05.png").read_bytes() == Path("line/p05.png").read_bytes()
    photo(line / "good" / "p07.png", 99)
    with pytest.raises(DataError, match="another photo"):
        confirm(Path("line"), Path("good"), ["p08.png", "p07.png"])
    assert not Path("good/p08.png").exists()


def test_two_photos_with_one_file_name_are_not_both_confirmed(line: Path) -> None:
    for seed, folder in enumerate(("a", "b")):
        (line / "line" / folder).mkdir()
        photo(line / "line" / folder / "same.png", seed)
    before = sorted(Path("good").iterdir())
    with pytest.raises(DataError, match=r"would both become .*same.png; rename one of them first"):
        confirm(Path("line"), Path("good"), ["a/same.png", "b/same.png"])
    assert sorted(Path("good").iterdir()) == before


@pytest.mark.parametrize("name", ["../good/g0.png", "none.png", "/etc/hosts"])
def test_only_photos_of_the_folder_can_be_confirmed(line: Path, name: str) -> None:
    with pytest.raises(DataError):
        confirm(Path("line"), Path("good"), [name])
