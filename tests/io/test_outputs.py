"""Folders of results: what a later run replaces there, and what it leaves alone."""

import unicodedata
from pathlib import Path

import pytest

from normalgen.errors import DataError
from normalgen.io.atomic import write_json
from normalgen.io.outputs import output_names, replacing, see_free
from normalgen.io.run_folder import agree, locked, read_record

PATTERNS = ("[a-c]", "*.csv", "*.png", "maps/*.png")


def run(folder: Path, *names: str, made_by: str = "normalgen test") -> None:
    with replacing(folder, made_by, PATTERNS) as outputs:
        for name in names:
            outputs.text(name, "of ours")
        outputs.record["settings"] = {"names": len(names)}


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {".lock"}


def test_a_later_run_replaces_what_the_earlier_one_wrote_and_nothing_else(tmp_path: Path) -> None:
    run(tmp_path, "maps/a.png", "maps/b.png")
    (tmp_path / "maps" / "notes.txt").write_text("of theirs")
    (tmp_path / "maps" / "c.png").write_text("of theirs")
    run(tmp_path, "maps/b.png", "table.csv")
    assert files(tmp_path) == {"maps/b.png", "maps/c.png", "maps/notes.txt", "table.csv", "run.json"}
    assert read_record(tmp_path / "run.json") == {
        "made_by": "normalgen test",
        "settings": {"names": 2},
        "files": ["maps/b.png", "table.csv"],
    }


def stopped(folder: Path, *names: str) -> None:
    """A run that writes these and is stopped then."""
    with replacing(folder, "normalgen test", PATTERNS) as outputs:
        for name in names:
            outputs.text(name, "of ours")
        raise KeyboardInterrupt


def test_a_run_that_is_stopped_removes_nothing_and_the_next_clears_up_after_it(tmp_path: Path) -> None:
    run(tmp_path, "a", "b")
    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path, "b", "c")
    assert files(tmp_path) == {"a", "b", "c", "run.json"}
    assert read_record(tmp_path / "run.json") == {
        "made_by": "normalgen test",
        "settings": {},
        "files": ["a", "b", "c"],
    }
    run(tmp_path, "b")
    assert files(tmp_path) == {"b", "run.json"}


def test_a_run_that_fails_before_it_writes_leaves_the_earlier_one_as_it_was(tmp_path: Path) -> None:
    run(tmp_path, "a")
    before = read_record(tmp_path / "run.json")
    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path)
    assert read_record(tmp_path / "run.json") == before


def test_a_run_that_is_stopped_before_it_replaces_a_file_leaves_the_record_of_the_earlier_one(tmp_path: Path) -> None:
    run(tmp_path, "a")
    before = read_record(tmp_path / "run.json") or {}
    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path, "b")
    assert read_record(tmp_path / "run.json") == {**before, "files": ["a", "b"]}
    run(tmp_path, "c")
    assert files(tmp_path) == {"c", "run.json"}


def test_a_first_run_that_is_stopped_leaves_a_folder_that_the_next_takes(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path / "new", "a")
    run(tmp_path / "new", "b")
    assert files(tmp_path / "new") == {"b", "run.json"}


def test_nothing_outside_and_no_other_spelling_is_removed(tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("all of it")
    folder = tmp_path / "ours"
    run(folder, "IMG.png", "old.png")
    listed = ["IMG.png", "old.png", "../theirs.txt", str(tmp_path / "theirs.txt")]
    write_json(folder / "run.json", {"made_by": "normalgen test", "settings": {}, "files": listed})
    run(folder, "img.png")
    assert (tmp_path / "theirs.txt").exists()
    assert files(folder) == {"IMG.png", "img.png", "run.json"}


def test_a_folder_of_an_earlier_run_that_cannot_be_written_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, "a")
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    with pytest.raises(DataError, match="cannot be written"):
        see_free(tmp_path, "normalgen test")


def test_folders_of_people_and_of_other_commands_are_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("all of it")
    agree(tmp_path / "evaluation" / "run.json", {"settings": {}})
    run(tmp_path / "detection", made_by="normalgen other")
    for name, message in (("theirs", "is not empty"), ("evaluation", "did not write"), ("detection", "did not write")):
        before = files(tmp_path / name)
        with pytest.raises(DataError, match=message):
            run(tmp_path / name, "a")
        with pytest.raises(DataError, match=message):
            see_free(tmp_path / name, "normalgen test")
        assert files(tmp_path / name) == before


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(DataError, match="another process is writing"):
        run(tmp_path, "a")


def test_looking_whether_a_folder_is_free_writes_nothing(tmp_path: Path) -> None:
    assert see_free(tmp_path / "new", "normalgen test") == []
    assert not (tmp_path / "new").exists()


def test_pictures_are_called_as_their_photos_without_the_ending() -> None:
    names = {"a.png": "a", "scratch/0.1.JPG": "scratch__0.1", "b": "b", "good/ü.tif": "good__ü"}
    assert output_names(names) == names


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "a.jpg"],
        ["x/y.png", "x__y.png"],
        ["IMG.png", "img.png"],
        ["ü.png", "u\u0308.png"],
        ["straße.png", "STRASSE.png"],
        ["a" * 240 + ".png", "a" * 241 + ".png"],
        ["é" * 120 + "1.png", "é" * 120 + "2.png"],
        ["\udcff/a.png", "\udcfe/a.png"],
    ],
)
def test_no_two_photos_share_a_picture_on_any_disk(names: list[str]) -> None:
    found = output_names(names)
    assert {*found} == {*names}
    assert len({unicodedata.normalize("NFC", stem).casefold() for stem in found.values()}) == len(names)
    assert all(len(f"{stem}.png".encode(errors="surrogateescape")) <= 200 for stem in found.values())
    assert not any("/" in stem for stem in found.values())
    assert output_names(reversed(names)) == found


def test_a_photo_that_is_called_like_anothers_picture_keeps_a_name_of_its_own() -> None:
    taken = output_names(["a.png", "a.jpg"])["a.png"]
    found = output_names(["a.png", "a.jpg", f"{taken}.bmp"])
    assert len(set(found.values())) == 3
    assert found[f"{taken}.bmp"] == taken
