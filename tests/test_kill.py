"""A real process, really killed."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def command(prior: Path, photos: Path, n: int) -> list[str]:
    words = f"generate {photos} -n {n} --weights {prior} --size 32 --training-steps 60 --device cpu --no-gate"
    return [sys.executable, "-c", "from normalgen.cli import main; main()", *words.split()]


def contents(folder: Path) -> dict[str, bytes]:
    files = [*(folder / "pools/good/images").iterdir(), folder / "pools/good/metadata.jsonl"]
    files.append(folder / "models/good/tiny.safetensors")
    return {path.name: path.read_bytes() for path in files}


def run_with_kills(words: list[str], folder: Path, kills: int) -> int:
    draw, done = random.Random(1), 0
    for _ in range(kills):
        process = subprocess.Popen(words, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=draw.uniform(2.0, 6.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
        time.sleep(0.05)
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return done


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_a_run_killed_at_random_moments_ends_byte_identical(
    prior: Path, photos: Path, tmp_path: Path, kills: int
) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    n = 40 if kills < 10 else 2000
    words = command(prior, photos, n)
    subprocess.run(words, cwd=tmp_path / "whole", check=True, capture_output=True)
    assert run_with_kills(words, tmp_path / "killed", kills) == kills
    whole, killed = contents(tmp_path / "whole"), contents(tmp_path / "killed")
    assert len(whole) == n + 2
    assert whole == killed


def test_ctrl_c_says_how_to_go_on(prior: Path, photos: Path, tmp_path: Path) -> None:
    words = command(prior, photos, 4000)
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    metadata = tmp_path / "pools/good/metadata.jsonl"
    deadline = time.monotonic() + 120
    while not metadata.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 130
    assert shown.splitlines()[-1].startswith("error: stopped; what is done is kept. To go on: normalgen generate")
