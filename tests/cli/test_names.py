"""File names of every kind come through commands, and nothing that is printed ends a run or acts on a terminal."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from conftest import drawn
from detecting import detect, rows, run

from normalgen.cli.show import never_fail, say, table
from normalgen.io.text import printable, valid_texts
from normalgen.pool.dataset import Pool

NAMES = (
    *(b"pi\xce.png", b"pi\xcf.png", "gr\u00fcn.png".encode(), "\U0001f600.png".encode(), b"two\nlines.png"),
    *(b"\x1b[31mred\x07.png", b'quote".png', b"quote'.png", b"[1]*.png", b"a__b.png", b"Case.png", b"case.png"),
    *(b"x" * 251 + b".png", b" .png", b"-n.png", b"%s{}.png", b"<b>.png", b"plain"),
)


def test_photos_of_all_names_are_judged_and_their_maps_are_kept_apart(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(NAMES):
        drawn(seed).save(os.fsdecode(os.fsencode("mixed/") + name), "png")
    Path("mixed/a").mkdir()
    drawn(40).save("mixed/a/b.png")
    assert detect("-n", "0", "--branches", "n", "--save-maps") == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "\x07" not in shown.out + shown.err
    files = [str(row["file"]) for row in rows()]
    assert len(set(files)) == len(files) == len(NAMES) + 1 + 5
    assert not [row for row in rows() if row.get("error")]
    for ending in ("png", "npy"):
        maps = [path.name.casefold() for path in Path("out/maps").glob(f"*.{ending}")]
        assert len(set(maps)) == len(maps) == len(files)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_no_letter_ends_a_run(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    never_fail()
    say("\U0001f600 gr\u00fcn \u2192 \udcce \ud800 \x1b]0;title\x07 \u202eturned")
    stream.flush()
    written = stream.buffer.getvalue()
    assert written.endswith(b"\n")
    assert not re.search(rb"[\x00-\x09\x0b-\x1f]", written)


def test_a_console_of_ascii_letters_gets_help_and_errors(tmp_path: Path) -> None:
    for words in (["detect", "--help"], ["detect", "gr\u00fcn", "--references", "gr\u00fcn"]):
        ended = subprocess.run(
            [sys.executable, "-m", "normalgen", *words],
            cwd=tmp_path,
            capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": "ascii"},
            check=False,
        )
        assert ended.returncode == (0 if "--help" in words else 1)
        assert b"Traceback" not in ended.stderr


def test_a_cell_stays_on_its_line_and_names_stay_different() -> None:
    assert len(table(["file"], [["two\nlines"], ["\x1b[2J"]]).splitlines()) == 3
    assert printable("e\u0301 \u200d \U0001f468\u200d\U0001f469") == "e\u0301 \u200d \U0001f468\u200d\U0001f469"
    assert valid_texts(["a\udcce", "a\\xce", "b"])[1:] == ["a\\xce", "b"]
    assert len(set(valid_texts(["a\udcce", "a\udccf", "a\\xce"]))) == 3


def test_the_printed_line_loads_a_pool_from_any_folder_whatever_its_name(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("plain", "a [1] gr\u00fcn*"):
        monkeypatch.chdir(tmp_path)
        words = ["-n", "2", "--size", "32", "--plain", "1", "--no-gate", "--out", f"made/{name}"]
        assert run("generate", "good", *words) == 0
        line = capsys.readouterr().out.partition("load it:  ")[2].splitlines()[0]
        assert line == Pool.load(Path("made", name)).loading()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert len(eval(line, {"datasets": datasets})) == 2
