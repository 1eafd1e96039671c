"""A hundred kinds of bad input: one clear line, status 1, and nothing written, changed or lost.

Photos whose pixels alone show nothing are found when they are judged; the folder for results then holds its lock.
"""

import os
import shlex
import shutil
import stat
from pathlib import Path

import pytest
from bad_inputs import options, photos, records, weights
from bad_inputs.case import Case
from bad_inputs.world import make_world
from detecting import run

ROWS = [*photos.ROWS, *records.ROWS, *weights.ROWS, *options.ROWS]


@pytest.fixture(scope="module")
def world(prior: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(prior, tmp_path_factory.mktemp("world"))


def tree(folder: Path) -> dict[str, object]:
    """Every path below a folder, links as links: a file's bytes, a link's target, or the kind."""
    held: dict[str, object] = {}
    for above, folders, files in os.walk(folder):
        for path in (Path(above, name) for name in (*folders, *files) if name not in (".lock", "out")):
            status = path.lstat()
            link, plain = stat.S_ISLNK(status.st_mode), stat.S_ISREG(status.st_mode)
            held[str(path)] = path.readlink() if link else path.read_bytes() if plain else stat.S_IFMT(status.st_mode)
    return held


def test_the_table_has_a_hundred_kinds() -> None:
    assert len({row.kind for row in ROWS}) == len(ROWS) >= 100


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)
def test_bad_input_gets_one_clear_line_and_changes_nothing(
    row: Case, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    shutil.copytree(world, here, symlinks=True)
    monkeypatch.chdir(here)
    if row.harm is not None:
        row.harm()
    before = tree(here)
    capsys.readouterr()
    status = run(*shlex.split(row.command))
    shown = capsys.readouterr()
    text = " ".join((shown.out + shown.err).split())
    assert "Traceback" not in text
    assert status == row.status, text
    assert sum(line.startswith(("error: ", "╭─ Error")) for line in shown.err.splitlines()) == 1
    assert [words for words in row.says if words not in text] == []
    assert tree(here) == before
