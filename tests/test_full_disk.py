"""Commands on a disk that is full at one write after the other: a small tmpfs, which grows until they end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from detecting import draw_set, run
from made_files import contents

from normalgen.io.atomic import PARTIAL

PAGE, ROOM = 4096, 64 << 20
TOY = "--size 32 --augment safe --device cpu --training-steps 2 --weights PRIOR"
GENERATE = f"generate ../good -n 6 --no-gate --plain 0.5 {TOY}"
DETECT = "detect ../mixed --references ../good -k 2 --branches n --save-maps --device cpu"
EVALUATE = f"evaluate --dataset folder --data ../data --shots 2 --seeds 1 -n 2 --no-gate --detectors memory {TOY}"
COMMANDS = {
    "customize": ("", f"customize ../good {TOY}"),
    "generate": ("", GENERATE),
    "enlarge a pool": (GENERATE, GENERATE.replace("-n 6", "-n 12")),
    "mend a pool": (GENERATE, GENERATE),
    "detect": (GENERATE, DETECT),
    "evaluate": ("", EVALUATE.replace("--size 32 ", "") + " --arms none,generated"),
}
"""What is done before the disk is full, and the command that fills it."""
STEPS, LEAST = 3, 40_000
GROWING = ("metadata.jsonl", "candidates.jsonl")
CHANGING = ("checkpoint.pt", "run.json", "contact_sheet.png")
"""Files that a later step replaces or removes."""


class Disk:
    """A tmpfs that can be made as small as what is on it, and grow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def used(self) -> int:
        state = os.statvfs(self.folder)
        return (state.f_blocks - state.f_bfree) * state.f_frsize

    def resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={max(size, PAGE)}", self.folder], check=True)


@pytest.fixture
def disk(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    draw_set(tmp_path, photos)
    for name in ("whole", "disk"):
        (tmp_path / name).mkdir()
    folder = tmp_path / "disk"
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount a small disk to fill")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"this system mounts no small disk to fill: {os.fsdecode(mounted.stderr).strip()}")
    yield Disk(folder)
    monkeypatch.undo()
    subprocess.run(["umount", "-l", folder], check=True)


def spoil(folder: Path) -> None:
    """Remove a pool's image in the middle."""
    (folder / "pools/good/images/00002.png").unlink()


def agrees(name: str, data: bytes, whole: dict[str, bytes]) -> bool:
    """Whether a file on the full disk is the finished one, or its first lines if it grows line by line."""
    if Path(name).name in CHANGING:
        return True
    if Path(name).name in GROWING:
        return whole[name].startswith(data) and data[-1:] in (b"", b"\n")
    return data == whole[name]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if "pool" in name else name for name in COMMANDS]
)
def test_a_full_disk_gets_one_line_and_the_same_command_goes_on_when_there_is_room(
    name: str, disk: Disk, prior: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, command = (text.replace("PRIOR", str(prior)).split() for text in COMMANDS[name])
    for folder in (disk.folder.parent / "whole", disk.folder):
        monkeypatch.chdir(folder)
        assert not before or run(*before) == 0
        if name.startswith("mend"):
            spoil(folder)
        if folder != disk.folder:
            assert run(*command) == 0
    whole, size = contents(disk.folder.parent / "whole"), disk.used()
    step = max(LEAST, (sum(map(len, whole.values())) - size) // STEPS)
    disk.resize(size)
    capsys.readouterr()
    failed = 0
    while code := run(*command):
        failed += 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert (code, line.count("No space left on device: ")) == (1, 1), line
        assert line.endswith("free some space; files written so far are complete, and the same command resumes")
        assert not [*disk.folder.rglob(f".*{PARTIAL}")]
        assert not [file for file, data in contents(disk.folder).items() if not agrees(file, data, whole)]
        size += step
        disk.resize(size)
    assert failed
    made = contents(disk.folder)
    assert made == {file: data for file, data in whole.items() if file in made or "/cache/" not in file}
