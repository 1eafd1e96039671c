"""Real processes, really killed; forked from a server that has the heavy imports behind it."""

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from detecting import draw_set
from made_files import contents

from normalgen.cli import main
from normalgen.io import provenance

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "normalgen.customizing.dreambooth",
        "normalgen.pool.contact_sheet",
        "normalgen.evaluation.run",
        "normalgen.report.detection_run",
    ]
)
TOY = "--size 32 --augment safe --device cpu --weights PRIOR"
GENERATE = f"generate good -n 12 --training-steps 10 --no-gate {TOY}"
COMMANDS = {
    "generate": ("presets", GENERATE),
    "generate gated": ("presets", f"generate good -n 6 --training-steps 2 --plain 0.5 {TOY}"),
    "customize": ("presets", f"customize good --training-steps 20 {TOY}"),
    "detect": (
        f"generate good -n 4 --training-steps 2 --no-gate {TOY}",
        f"detect mixed --references good -k 2 --features cnn {TOY}",
    ),
    "detect from nothing": (
        "presets",
        f"detect mixed --references good -k 2 -n 0 --features cnn --training-steps 20 {TOY}",
    ),
    "evaluate": (
        "presets",
        "evaluate --dataset folder --data data --shots 2 --seeds 1 -n 4 --training-steps 2 --no-gate "
        "--detectors memory[features=cnn],one-to-normal[features=cnn] --arms none,generated --augment safe "
        "--device cpu --weights PRIOR",
    ),
}
"""What is done before, and the command that is killed."""


@pytest.fixture
def start(photos: Path, prior: Path, tmp_path: Path) -> "Start":
    draw_set(tmp_path, photos)
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
        process = SERVER.Process(target=work, args=(command.replace("PRIOR", str(self.prior)).split(), folder))
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
    provenance.revision = cache(lambda checkout: "tested")  # records name the checkout, which may change meanwhile
    for name in ("out", "err"):
        setattr(sys, f"std{name}", (folder / f"{name}.txt").open("w", buffering=1))
    sys.argv = ["normalgen", *words]
    main(words)


def killed_while_running(process: BaseProcess, after: float) -> bool:
    """Kill a process after some seconds; False if it ended before."""
    process.join(after)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.parametrize(
    ("name", "kills"),
    [
        *((name, 2) for name in COMMANDS if "gated" not in name),
        *(pytest.param(name, 20, marks=pytest.mark.slow) for name in COMMANDS),
    ],
)
@pytest.mark.timeout(900)
def test_a_command_killed_at_random_moments_ends_byte_identical(name: str, kills: int, start: Start) -> None:
    before, command = COMMANDS[name]
    ready, whole = start.folder("ready"), start.inputs / "whole"
    start.to_the_end(before, ready)  # the server is there from then on
    shutil.copytree(ready, whole, symlinks=True)
    seconds, wanted = start.to_the_end(command, whole), contents(whole)
    draw, killed, tried, rounds = random.Random(kills), 0, 0, 0
    while killed < kills:
        folder, rounds, left = start.inputs / f"killed-{rounds}", rounds + 1, seconds
        shutil.copytree(ready, folder, symlinks=True)
        for _ in range(min(5, kills - killed)):
            after, tried = draw.uniform(0, left), tried + 1
            killed += killed_while_running(start(command, folder), after)
            left -= after
        start.to_the_end(command, folder)
        assert contents(folder) == wanted
        shutil.rmtree(folder)
    sys.stdout.write(f"{name}: {killed} of {tried} were running when killed; {rounds} runs of {seconds:.1f} s\n")
    assert killed >= kills


def test_ctrl_c_says_how_to_go_on(start: Start) -> None:
    folder = start.folder("stopped")
    process = start(GENERATE.replace("-n 12", "-n 4000"), folder)
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
