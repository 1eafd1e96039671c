"""Real processes, really killed; forked from a server that has the heavy imports behind it."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from conftest import drawn
from detecting import crossed

from normalgen.cli import main
from normalgen.io.records import parse

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "normalgen.customizing.dreambooth",
        "normalgen.pool.contact_sheet",
        "normalgen.evaluation.run",
        "normalgen.report.detection_run",
    ]
)
TOY = "--size 32 --device cpu --weights"
GENERATE = f"generate good -n 20 --training-steps 30 --no-gate {TOY}"
COMMANDS = {
    "generate": (GENERATE,),
    "generate gated": (f"generate good -n 6 --training-steps 2 --plain 0.5 {TOY}",),
    "customize": (f"customize good --training-steps 60 {TOY}",),
    "detect": (f"generate good -n 4 --training-steps 2 --no-gate {TOY}", f"detect mixed --references good -k 2 {TOY}"),
    "evaluate": (
        "evaluate --dataset folder --data data --shots 2 --seeds 1 -n 4 --training-steps 2 --no-gate "
        "--detectors memory,one-to-normal --arms none,generated --device cpu --weights",
    ),
}
"""The last command of each list is killed; those before it are not."""
CLOCKS = ("seconds", "memory_mb")
"""Entries of a cell that no two runs share."""


@pytest.fixture
def start(photos: Path, prior: Path, tmp_path: Path) -> "Start":
    for label, make, seeds in (("good", drawn, range(20, 23)), ("cross", crossed, range(30, 32))):
        for folder in (tmp_path / "mixed" / label, tmp_path / "data/disc/test" / label):
            folder.mkdir(parents=True)
            for seed in seeds:
                make(seed).save(folder / f"{seed}.png")
    shutil.copytree(photos, tmp_path / "data/disc/train/good")
    return Start(tmp_path, prior)


class Start:
    """Starts commands in folders that hold the same photos."""

    def __init__(self, inputs: Path, prior: Path) -> None:
        self.inputs, self.prior = inputs, prior

    def folder(self, name: str) -> Path:
        folder = self.inputs / name
        folder.mkdir()
        for source in ("good", "mixed", "data"):
            (folder / source).symlink_to(self.inputs / source)
        return folder

    def __call__(self, command: str, folder: Path) -> BaseProcess:
        process = SERVER.Process(target=work, args=([*command.split(), str(self.prior)], folder))
        process.start()
        return process

    def to_the_end(self, command: str, folder: Path) -> float:
        """Run the command, and return how many seconds it took."""
        begun, process = time.monotonic(), self(command, folder)
        process.join()
        assert process.exitcode == 0, (folder / "err.txt").read_text()
        return time.monotonic() - begun


def work(words: list[str], folder: Path) -> None:
    os.chdir(folder)
    torch.set_num_threads(1)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    for name in ("out", "err"):
        setattr(sys, f"std{name}", (folder / f"{name}.txt").open("w"))
    sys.argv = ["normalgen", *words]
    main(words)


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file that the commands in `folder` made, except the cache, locks and what they printed."""
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    made = {name: path for name, path in files.items() if "/" in name and not name.startswith("cache/")}
    return {name: timeless(path) for name, path in made.items() if path.name != ".lock"}


def timeless(path: Path) -> bytes:
    """The bytes of a file, without how long it took to make it."""
    data = path.read_bytes()
    if "cells" not in path.parts:
        return data
    cell: dict[str, object] = parse(data, dict)
    return json.dumps({name: value for name, value in cell.items() if name not in CLOCKS}).encode()


def killed_while_running(process: BaseProcess, after: float) -> bool:
    """Kill a process after some seconds; False if it ended before."""
    process.join(after)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_a_command_killed_at_random_moments_ends_byte_identical(name: str, kills: int, start: Start) -> None:
    *before, command = COMMANDS[name]
    draw, whole, killed, tried, rounds = random.Random(kills), start.folder("whole"), 0, 0, 0
    for first in before:
        start.to_the_end(first, whole)
    seconds = start.to_the_end(command, whole)
    wanted = contents(whole)
    while killed < kills:
        folder, rounds = start.folder(f"killed-{rounds}"), rounds + 1
        for first in before:
            start.to_the_end(first, folder)
        for _ in range(min(3, kills - killed)):
            tried += 1
            killed += killed_while_running(start(command, folder), draw.uniform(0, seconds))
        start.to_the_end(command, folder)
        assert contents(folder) == wanted
        shutil.rmtree(folder)
    sys.stdout.write(f"{name}: {killed} of {tried} were running when killed; {rounds} runs of {seconds:.1f} s\n")
    assert killed >= kills


def test_ctrl_c_says_how_to_go_on(start: Start) -> None:
    folder = start.folder("stopped")
    process = start(GENERATE.replace("-n 24", "-n 4000"), folder)
    wait_for((folder / "pools/good/metadata.jsonl").is_file)
    os.kill(process.pid or 0, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 130
    last = (folder / "err.txt").read_text().splitlines()[-1]
    assert last.startswith("error: stopped; finished work is kept. To resume: normalgen generate")


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
