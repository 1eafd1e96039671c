"""Files that can be made again, kept on disk up to a limit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from normalgen.features.cached import KeptFeatures
from normalgen.features.contract import TextSide
from normalgen.io.cache import KeptFiles


def test_those_not_used_for_longest_go(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path, "*.bin", limit=1000)
    for place in range(9):
        kept.keep(tmp_path / f"{place}.bin", bytes(68))
        os.utime(tmp_path / f"{place}.bin", (place, place))
    (tmp_path / "other.txt").write_bytes(bytes(5000))
    assert kept.read(tmp_path / "0.bin", bytes) == bytes(68)
    kept = KeptFiles(tmp_path, "*.bin", limit=600)
    kept.keep(tmp_path / "new.bin", bytes(18))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "0.bin", "5.bin", "6.bin", "7.bin", "8.bin", "new.bin", "other.txt"
    ]  # fmt: skip


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    KeptFiles(tmp_path / "file", "*", limit=10).keep(tmp_path / "file" / "a", b"data")
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.skipif(os.name != "posix", reason="only POSIX tells whether a process runs without ending it")
def test_unfinished_files_of_ended_processes_go_at_once_and_those_of_running_ones_stay(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    running = f".a.{os.getpid()}.partial"
    for name in (running, f".b.{ended.pid}.partial", ".c.other.partial"):
        (tmp_path / name).write_bytes(b"half")
    KeptFiles(tmp_path, "*.bin").keep(tmp_path / "new.bin", b"data")
    assert sorted(path.name for path in tmp_path.iterdir()) == [running, ".c.other.partial", "new.bin"]


class Sized:
    """Features that look at images in a size of their own."""

    name = "sized"
    shares = (1.0,)
    text: TextSide | None = None

    def __init__(self, size: int) -> None:
        self.size = size

    def tokens(self, images: Tensor) -> list[Tensor]:
        return [torch.full((len(images), self.size, 1), float(self.size))]

    def image(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


def test_tokens_of_another_size_are_never_taken_for_them(tmp_path: Path) -> None:
    image = torch.zeros(1, 3, 4, 4)
    found = [KeptFeatures(Sized(size), tmp_path).tokens(image)[0].shape[1] for size in (8, 16)]
    assert found == [8, 16]
