import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from normalgen.errors import DataError
from normalgen.io.run_folder import agree, differing, locked, read_record

HOLD = """
import pathlib, sys, time
from normalgen.io.run_folder import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
SETTINGS = {"size": 32, "crop": None, "object": "nut"}
RECORD = {"settings": SETTINGS, "versions": {"torch": "2"}}


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock on `tmp_path / "pool"` until its input ends."""
    words = [sys.executable, "-c", HOLD, str(tmp_path / "pool")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def changed(**settings: object) -> dict[str, dict[str, object]]:
    return {"settings": SETTINGS | settings}


def test_a_second_process_on_a_folder_is_refused(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"another process is writing .*pool; wait"), locked(tmp_path / "pool"):
        pytest.fail("got in")
    with locked(tmp_path / "another"):
        assert holder.poll() is None


def test_a_killed_process_lets_go(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    assert holder.wait() == -9
    with locked(tmp_path / "pool"):
        assert (tmp_path / "pool").is_dir()


def test_a_process_that_ends_lets_go(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.communicate()
    assert holder.returncode == 0
    with locked(tmp_path / "pool"):
        assert (tmp_path / "pool").is_dir()


def test_an_error_lets_go_and_comes_through(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        raise ZeroDivisionError
    with locked(tmp_path), pytest.raises(DataError, match="another process"), locked(tmp_path):
        pytest.fail("got in")


@pytest.mark.parametrize("below", ["file", "file/pool"])
def test_a_file_where_the_folder_should_be_is_named(below: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=f"{below} cannot be a folder, .*file is a file"), locked(tmp_path / below):
        pytest.fail("got in")
    with pytest.raises(DataError, match=f"{below} cannot be a folder"):
        agree(tmp_path / below / "run.json", RECORD, look=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_name_that_no_folder_can_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x cannot be a folder \(File name too long\)"), locked(tmp_path / ("x" * 300)):
        pytest.fail("got in")


def test_a_record_is_written_once_and_the_same_settings_agree(tmp_path: Path) -> None:
    agree(tmp_path / "run.json", RECORD)
    assert json.loads((tmp_path / "run.json").read_text()).keys() == {*RECORD, "sha256"}
    assert read_record(tmp_path / "run.json") == RECORD
    agree(tmp_path / "run.json", RECORD | {"versions": {"torch": "3"}})
    assert read_record(tmp_path / "run.json") == RECORD


def test_looking_writes_nothing(tmp_path: Path) -> None:
    agree(tmp_path / "run.json", RECORD, look=True)
    agree(tmp_path / "pools" / "nut" / "run.json", RECORD, look=True)
    assert list(tmp_path.iterdir()) == []


def test_every_setting_that_differs_is_named_with_both_values(tmp_path: Path) -> None:
    agree(tmp_path / "run.json", RECORD)
    for look in (True, False):
        with pytest.raises(DataError, match="made with other settings") as caught:
            agree(tmp_path / "run.json", changed(size=64, crop="center"), look=look)
        assert 'crop was null, now "center"; --size was 32, now 64. Use' in str(caught.value)
        assert "object" not in str(caught.value)
    assert read_record(tmp_path / "run.json") == RECORD


def test_a_setting_that_is_new_differs_too(tmp_path: Path) -> None:
    agree(tmp_path / "run.json", RECORD)
    with pytest.raises(DataError, match=r"strength was null, now 0\.5"):
        agree(tmp_path / "run.json", changed(strength=0.5))


def test_a_long_value_is_cut_in_the_message(tmp_path: Path) -> None:
    agree(tmp_path / "run.json", changed(references=["a" * 64] * 50))
    with pytest.raises(DataError, match=r"now \[\"b+\.\.\. \(3400 characters\)") as caught:
        agree(tmp_path / "run.json", changed(references=["b" * 64] * 50))
    assert len(str(caught.value)) < 500


def test_differing_is_none_without_a_record_and_empty_where_all_agree(tmp_path: Path) -> None:
    assert differing(tmp_path / "run.json", {"crop": (0, 0, 4, 4)}) is None
    agree(tmp_path / "run.json", {"settings": {"crop": (0, 0, 4, 4)}})
    assert differing(tmp_path / "run.json", {"crop": (0, 0, 4, 4)}) == []
    assert differing(tmp_path / "run.json", {"crop": (0, 0, 4, 5), "seed": 1}) == ["crop", "seed"]


def test_a_folder_of_other_files_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    for look in (True, False):
        with pytest.raises(DataError, match=r"is not empty \(thesis\.txt\) and was not made by this command"):
            agree(tmp_path / "run.json", RECORD, look=look)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_cannot_be_written_is_told_of_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    with pytest.raises(DataError, match=f"run cannot be written: you may not write in {tmp_path}"):
        agree(tmp_path / "run" / "run.json", RECORD, look=True)


def test_a_lock_and_a_preview_are_no_other_files(tmp_path: Path) -> None:
    (tmp_path / "preview.png").write_bytes(b"ours")
    with locked(tmp_path):
        agree(tmp_path / "run.json", RECORD, ours=("preview.png",))
    assert read_record(tmp_path / "run.json") == RECORD


@pytest.mark.parametrize("text", ["{", "", "[1]", "null", "{}", '{"settings": 3}'])
def test_a_record_that_is_none_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    for look in (lambda path: differing(path, {}), read_record, lambda path: agree(path, RECORD)):
        with pytest.raises(DataError, match="is damaged, or normalgen did not write it") as caught:
            look(tmp_path / "run.json")
        assert str(tmp_path / "run.json") in str(caught.value)
    assert (tmp_path / "run.json").read_text() == text


def test_a_record_of_bytes_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="is damaged, or normalgen did not write it"):
        read_record(tmp_path / "run.json")


def test_a_folder_that_another_process_begins_just_now_is_no_foreign_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.iterdir

    def begun(folder: Path) -> Iterator[Path]:
        (tmp_path / "run.json").write_text(json.dumps(RECORD))
        (tmp_path / "README.md").write_text("theirs")
        return real(folder)

    monkeypatch.setattr(Path, "iterdir", begun)
    agree(tmp_path / "run.json", RECORD, look=True)
    with pytest.raises(DataError, match="size was 32, now 64"):
        agree(tmp_path / "run.json", changed(size=64), look=True)
