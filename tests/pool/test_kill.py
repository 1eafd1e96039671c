"""Real processes, really killed; forked from a server that has the heavy imports behind it."""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from normalgen.cli import main

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["normalgen.customizing.dreambooth", "normalgen.pool.contact_sheet", "normalgen.quality"])


def words(prior: Path, photos: Path, n: int, steps: int) -> list[str]:
    toy = f"--weights {prior} --size 32 --training-steps {steps} --device cpu --no-gate --category good"
    return ["generate", str(photos), "-n", str(n), *toy.split()]


def work(command: list[str], folder: Path) -> None:
    os.chdir(folder)
    for name in ("out", "err"):
        setattr(sys, f"std{name}", (folder / f"{name}.txt").open("w"))
    sys.argv = ["normalgen", *command]
    main(command)


def start(command: list[str], folder: Path) -> BaseProcess:
    folder.mkdir(exist_ok=True)
    process = SERVER.Process(target=work, args=(command, folder))
    process.start()
    return process


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)


def images(folder: Path) -> int:
    return len(list(folder.glob("pools/good/images/*.png")))


def contents(folder: Path) -> dict[str, bytes]:
    files = [*(folder / "pools/good/images").iterdir(), folder / "pools/good/metadata.jsonl"]
    files.append(folder / "models/good/tiny.safetensors")
    return {path.name: path.read_bytes() for path in files}


def run_with_kills(command: list[str], folder: Path, n: int, kills: int) -> None:
    """The first half of the kills while customizing, the others after a random number of images."""
    draw = random.Random(1)
    for kill in range(kills):
        process = start(command, folder)
        if kill < kills / 2:
            wait_for((folder / "models/good/customize.json").is_file)
            time.sleep(draw.uniform(0, 0.8))
        else:
            wanted = n * draw.uniform(kill, kill + 1) / (kills + 2)
            wait_for(lambda wanted=wanted: images(folder) > wanted)  # type: ignore[misc]
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert images(folder) < n
        assert kill or not (folder / "models/good/tiny.safetensors").is_file()


@pytest.mark.parametrize(("kills", "n"), [(2, 40), pytest.param(20, 2000, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_a_run_killed_at_random_moments_ends_byte_identical(
    prior: Path, photos: Path, tmp_path: Path, kills: int, n: int
) -> None:
    command, (whole, killed) = words(prior, photos, n, 60), (tmp_path / "whole", tmp_path / "killed")
    for folder in (whole, killed):
        if folder == killed:
            run_with_kills(command, folder, n, kills)
        last = start(command, folder)
        last.join()
        assert last.exitcode == 0
    assert len(contents(whole)) == n + 2
    assert contents(whole) == contents(killed)


def test_ctrl_c_says_how_to_go_on(prior: Path, photos: Path, tmp_path: Path) -> None:
    process = start(words(prior, photos, 4000, 1), tmp_path)
    wait_for((tmp_path / "pools/good/metadata.jsonl").is_file)
    os.kill(process.pid or 0, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 130
    last = (tmp_path / "err.txt").read_text().splitlines()[-1]
    assert last.startswith("error: stopped; finished work is kept. To resume: normalgen generate")
