"""What other systems do, simulated: no POSIX modules, line ends of two bytes, disks that fold case, old code pages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import drawn
from detecting import run

from normalgen.diffusion.model import NormalModel
from normalgen.pool.dataset import Pool
from normalgen.pool.generate import fill_pool
from normalgen.pool.inspection import pool_faults
from normalgen.references import References

POSIX = ("resource", "fcntl", "termios", "pwd", "grp", "tty", "pty")
WITHOUT = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {POSIX!r}:
            raise ModuleNotFoundError(name)

for name in {POSIX!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
import warnings
warnings.simplefilter("ignore")  # filelock's, which has msvcrt instead of fcntl on Windows
from normalgen.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("words", [["--help"], ["generate", "--help"], ["presets"], ["generate", "gone"]])
def test_commands_start_without_posix_modules(words: list[str], tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == (1 if "gone" in words else 0), ended.stderr
    assert "Traceback" not in ended.stderr


def to_crlf(*folders: Path) -> int:
    """Give every text record in the folders line ends of two bytes; return how many there are."""
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".json", ".jsonl", ".csv")]
    for file in files:
        file.write_bytes(file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    return len(files)


def test_a_pool_with_line_ends_of_two_bytes_is_the_same_and_can_grow(
    model: NormalModel, references: References, tmp_path: Path
) -> None:
    whole, folder = fill_pool(model, references, 6, tmp_path / "whole"), tmp_path / "pool"
    fill_pool(model, references, 3, folder)
    before = Pool.load(folder).rows
    assert to_crlf(folder, tmp_path / "pool.normalgen") == 3
    assert Pool.load(folder).rows == before
    assert pool_faults(folder) == []
    assert fill_pool(model, references, 6, folder).rows == whole.rows


def test_records_with_line_ends_of_two_bytes_are_read_by_every_command(
    here: Path,
) -> None:
    judge = ["detect", "mixed", "--references", "good", "-k", "2", "-n", "0", "--branches", "n", "--device", "cpu"]
    assert run(*judge, "--out", "one", "--save", "detector") == 0
    one = Path("one/results.csv").read_bytes()
    assert to_crlf(here / "models", here / "one", here / "detector") >= 5
    assert run(*judge, "--out", "one") == 0
    assert run("detect", "mixed", "--detector", "detector", "--out", "two") == 0
    assert Path("one/results.csv").read_bytes() == Path("two/results.csv").read_bytes() == one
    again = ["--manifest", "models/good/references.json", "--plain", "1", "--no-gate", "--size", "32", "--out", "pool"]
    assert run("generate", "good", "-n", "2", *again) == 0


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.slow)])
def test_no_code_page_ends_a_run(encoding: str, tmp_path: Path) -> None:
    folder = tmp_path / "gr\u00fcn \u96ea"
    folder.mkdir()
    for seed in range(3):
        drawn(seed).save(folder / f"\u96ea{seed}.png")
    words = ["generate", folder.name, *"-n 2 --size 32 --plain 1 --no-gate --augment safe --out \u96ea".split()]
    ended = subprocess.run(
        [sys.executable, "-m", "normalgen", *words],
        cwd=tmp_path,
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(Pool.load(tmp_path / "\u96ea")) == 2
