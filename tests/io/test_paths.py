"""Paths that files name: inside their folder, or refused; only regular files inside are ever removed."""

import os
import time
from pathlib import Path

import pytest

from normalgen.errors import DataError
from normalgen.io.paths import STALE, inside, remove_file, remove_files, sweep


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`ours/` with files, and links to `theirs/` and to `theirs.txt`."""
    for name in ("ours/maps/a.png", "ours/b.png", "theirs/precious.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "theirs.txt").write_text("precious")
    (tmp_path / "ours" / "out").symlink_to(tmp_path / "theirs")
    (tmp_path / "ours" / "link.png").symlink_to(tmp_path / "theirs.txt")
    (tmp_path / "ours" / "circle").symlink_to(tmp_path / "ours" / "circle")
    return tmp_path / "ours"


OUTSIDE = ["", ".", "..", "../theirs.txt", "maps/../../theirs.txt", "maps/../b.png", "out/precious.png", "link.png"]
OUTSIDE += ["/etc/passwd", "circle", "a\0b", "x" * 5000]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_is_refused_and_nothing_is_removed(folder: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"list\.json names .* is not a path inside"):
        inside(folder, name, folder / "list.json")
    before = sorted(folder.parent.rglob("*"))
    remove_file(folder, name)
    assert set(before) - set(folder.parent.rglob("*")) <= {folder / "b.png"} - {folder / name}


def test_a_name_inside_is_a_path_and_its_file_can_be_removed(folder: Path) -> None:
    assert inside(folder, "maps/a.png", folder) == folder / "maps" / "a.png"
    assert inside(folder, "not/yet.png", folder) == folder / "not" / "yet.png"
    remove_file(folder, "maps/a.png")
    remove_file(folder, "maps")
    remove_file(folder, "never/there.png")
    assert not (folder / "maps" / "a.png").exists()
    assert (folder / "maps").is_dir()


def test_a_folder_behind_a_link_works_as_a_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(folder)
    assert inside(tmp_path / "alias", "b.png", folder).read_text() == "ours/b.png"
    remove_file(tmp_path / "alias", "b.png")
    assert not (folder / "b.png").exists()


def test_patterns_remove_regular_files_alone_and_folders_left_empty(folder: Path) -> None:
    (folder / "maps" / "notes.txt").write_text("theirs")
    remove_files(folder, ["*.png", "out/*.png", "maps/*.png"])
    assert sorted(path.name for path in folder.iterdir()) == ["circle", "link.png", "maps", "out"]
    assert (folder.parent / "theirs" / "precious.png").exists()
    (folder / "maps" / "notes.txt").rename(folder / "maps" / "c.png")
    remove_files(folder, ["maps/*.png"])
    assert not (folder / "maps").exists()


def test_unfinished_files_of_killed_processes_go_and_others_stay(folder: Path) -> None:
    for path in (folder / "maps" / ".a.png.17.partial", folder / ".run.json.17.partial", folder / "my.partial"):
        path.write_text("half")
    (folder.parent / "theirs" / ".x.1.partial").write_text("of another process")
    sweep(folder)
    assert [path.name for path in folder.rglob("*partial")] == ["my.partial"]
    assert (folder.parent / "theirs" / ".x.1.partial").exists()


def test_where_others_may_be_writing_only_old_unfinished_files_go(folder: Path) -> None:
    for name, age in ((".new.1.partial", 60), (".old.1.partial", 2 * STALE)):
        (folder / name).write_text("half")
        os.utime(folder / name, (time.time() - age,) * 2)
    sweep(folder, deep=False, older=STALE)
    assert [path.name for path in folder.glob("*.partial")] == [".new.1.partial"]
